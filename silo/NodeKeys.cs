using System.ComponentModel.DataAnnotations;
using DarkStorage.Connectors.Keys;
using DarkStorage.Silo.Configuration;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.Silo;

/// <summary>The node's key ring, and the key service that SSE-KMS uses: the ring itself, or one outside. docs/ENCRYPTION.md says how to choose.</summary>
internal sealed class NodeKeys : IDisposable
{
    private readonly IDisposable? _file;
    private readonly CachingKeyService? _outside;

    private NodeKeys(IDisposable? file, KeyRing ring, CachingKeyService? outside)
    {
        (_file, Ring, _outside) = (file, ring, outside);
        Data = new DataKeys(ring, (IKeyService?)outside ?? ring);
    }

    public KeyRing Ring { get; }

    public DataKeys Data { get; }

    /// <exception cref="FormatException">A setting of <c>Keys</c> is wrong.</exception>
    public static Task<NodeKeys> OpenAsync(DataDirectory data, ISecretBox box, IConfiguration configuration, TimeProvider clock) => OpenAsync(KeyRingFile.Open(data.KeyRingFile), box, configuration, clock);

    /// <param name="storage">Disposed with the keys, where it is to be.</param>
    public static async Task<NodeKeys> OpenAsync(IKeyRingStorage storage, ISecretBox box, IConfiguration configuration, TimeProvider clock)
    {
        var file = storage as IDisposable;
        CachingKeyService? outside = null;
        try
        {
            outside = Outside(configuration, clock);
            return new(file, await KeyRing.OpenAsync(storage, box, clock, CancellationToken.None), outside);
        }
        catch
        {
            file?.Dispose();
            outside?.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _outside?.Dispose();
        Ring.Dispose();
        _file?.Dispose();
    }

    private static CachingKeyService? Outside(IConfiguration configuration, TimeProvider clock)
    {
        try
        {
            return configuration["Keys:Service"] switch
            {
                null or "" or "ring" => null,
                "vault" => KeyServices.Vault(configuration.GetSection("Keys:Vault").Get<VaultOptions>() ?? new(), clock),
                "aws-kms" => KeyServices.AwsKms(configuration.GetSection("Keys:AwsKms").Get<AwsKmsOptions>() ?? new(), clock),
                var other => throw new FormatException($"The setting Keys:Service is '{other}'; allowed are ring, vault and aws-kms."),
            };
        }
        catch (Exception e) when (e is ValidationException or InvalidOperationException)
        {
            throw new FormatException($"The settings of Keys: {e.Message}", e);
        }
    }
}
