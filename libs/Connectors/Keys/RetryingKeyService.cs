using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Connectors.Keys;

/// <summary>Asks again where a key service did not answer, a bounded number of times. Any answer is an answer.</summary>
internal sealed class RetryingKeyService(IKeyService inner, KeyServiceOptions options, TimeProvider clock, Random random) : IKeyService
{
    public string DefaultKeyId => inner.DefaultKeyId;

    public ValueTask<GeneratedKey> GenerateAsync(string keyId, KeyContext context, CancellationToken ct) =>
        TryAsync(() => inner.GenerateAsync(keyId, context, ct), ct);

    public ValueTask<DataKey> DecryptAsync(string keyId, ReadOnlyMemory<byte> wrapped, KeyContext context, CancellationToken ct) =>
        TryAsync(() => inner.DecryptAsync(keyId, wrapped, context, ct), ct);

    public ValueTask<KeyDescription?> DescribeAsync(string keyId, CancellationToken ct) =>
        TryAsync(() => inner.DescribeAsync(keyId, ct), ct);

    private async ValueTask<T> TryAsync<T>(Func<ValueTask<T>> call, CancellationToken ct)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await call();
            }
            catch (StorageException e) when (e.Error == StorageError.KeyServiceUnavailable && attempt < options.AttemptsMax)
            {
                // Not all nodes at the same moment.
                await Task.Delay(options.RetryDelay * (Math.Pow(2, attempt - 1) * (1 - (random.NextDouble() / 2))), clock, ct);
            }
        }
    }
}
