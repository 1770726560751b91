using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Secrets;
using DarkStorage.Unit.Storage;
using Xunit;

namespace DarkStorage.Unit.Encryption;

public sealed class DataKeysTests : IAsyncLifetime
{
    private static readonly CancellationToken Ct = CancellationToken.None;

    private readonly ScratchDirectory _directory = new();
    private KeyRingFile _file = null!;
    private KeyRing _ring = null!;
    private DataKeys _keys = null!;

    public async ValueTask InitializeAsync()
    {
        _file = KeyRingFile.Open(Path.Combine(_directory.Path, "keyring"));
        _ring = await KeyRing.OpenAsync(_file, new MasterKeyBox(RandomNumberGenerator.GetBytes(32)), TimeProvider.System, Ct);
        _keys = new(_ring, _ring);
    }

    public ValueTask DisposeAsync()
    {
        _ring.Dispose();
        _file.Dispose();
        _directory.Dispose();
        return ValueTask.CompletedTask;
    }

    [Theory]
    [InlineData(EncryptionMode.SseS3, null, null)]
    [InlineData(EncryptionMode.SseKms, null, null)]
    [InlineData(EncryptionMode.SseKms, "aws/s3", """{"department":"10103.0"}""")]
    public async Task What_is_kept_opens_the_data_key_again(EncryptionMode mode, string? keyId, string? context)
    {
        var (key, encryption) = await _keys.CreateAsync(new(mode, keyId, context, BucketKeyEnabled: true), Ct);
        Assert.Equal((mode, keyId, context, true), (encryption.Mode, encryption.KeyId, encryption.Context, encryption.BucketKeyEnabled));
        Assert.Equal(-1, encryption.WrappedKey.AsSpan().IndexOf(key.Bytes));
        using var again = await _keys.OpenAsync(encryption, null, Ct);
        Assert.Equal(key.Bytes, again.Bytes);
        await _ring.RotateAsync(mode == EncryptionMode.SseS3 ? KeyRing.ObjectsKeyId : KeyRing.KmsKeyId, Ct);
        using var afterwards = await _keys.OpenAsync(encryption, null, Ct);
        Assert.Equal(key.Bytes, afterwards.Bytes);
    }

    [Fact]
    public async Task A_customers_key_opens_what_was_sealed_under_it_and_nothing_of_it_is_kept()
    {
        var bytes = RandomNumberGenerator.GetBytes(32);
        using var customer = new CustomerKey(bytes);
        var (key, encryption) = await _keys.CreateAsync(new(EncryptionMode.SseC, CustomerKey: customer), Ct);
        var (_, other) = await _keys.CreateAsync(new(EncryptionMode.SseC, CustomerKey: customer), Ct);
        _keys.RequireCustomerKey(encryption, customer);
        using var again = await _keys.OpenAsync(encryption, customer, Ct);
        Assert.Equal(key.Bytes, again.Bytes);
        byte[] kept = [.. encryption.WrappedKey, .. encryption.CustomerKeyCheck];
        foreach (var secret in new[] { bytes, MD5.HashData(bytes), key.Bytes.ToArray() }) Assert.Equal(-1, kept.AsSpan().IndexOf(secret));
        // Salted: nobody sees that two objects have the same key.
        Assert.NotEqual(encryption.CustomerKeyCheck.AsSpan()[32..].ToArray(), other.CustomerKeyCheck.AsSpan()[32..].ToArray());
    }

    [Fact]
    public async Task A_wrong_a_missing_and_an_unwanted_customers_key_are_told_apart()
    {
        using var customer = new CustomerKey(RandomNumberGenerator.GetBytes(32));
        using var wrong = new CustomerKey(RandomNumberGenerator.GetBytes(32));
        var (_, theirs) = await _keys.CreateAsync(new(EncryptionMode.SseC, CustomerKey: customer), Ct);
        var (_, ours) = await _keys.CreateAsync(new(EncryptionMode.SseS3), Ct);
        Assert.Equal(StorageError.InvalidEncryptionKey, await KeyRingTests.ErrorOfAsync(() => _keys.OpenAsync(theirs, wrong, Ct)));
        Assert.Equal(StorageError.EncryptionKeyRequired, await KeyRingTests.ErrorOfAsync(() => _keys.OpenAsync(theirs, null, Ct)));
        Assert.Equal(StorageError.EncryptionKeyNotApplicable, await KeyRingTests.ErrorOfAsync(() => _keys.OpenAsync(ours, customer, Ct)));
        Assert.Equal(StorageError.EncryptionKeyRequired, await KeyRingTests.ErrorOfAsync(() => _keys.CreateAsync(new(EncryptionMode.SseC), Ct)));
        Assert.Equal(StorageError.EncryptionKeyNotApplicable, await KeyRingTests.ErrorOfAsync(() => _keys.CreateAsync(new(EncryptionMode.SseKms, CustomerKey: customer), Ct)));
    }

    [Fact]
    public async Task A_key_that_is_unknown_or_disabled_is_said_to_be()
    {
        Assert.Equal(StorageError.KeyNotFound, await KeyRingTests.ErrorOfAsync(() => _keys.CreateAsync(new(EncryptionMode.SseKms, "none"), Ct)));
        var (_, encryption) = await _keys.CreateAsync(new(EncryptionMode.SseKms), Ct);
        await _ring.SetEnabledAsync(KeyRing.KmsKeyId, false, Ct);
        Assert.Equal(StorageError.KeyDisabled, await KeyRingTests.ErrorOfAsync(() => _keys.OpenAsync(encryption, null, Ct)));
    }

    [Fact]
    public async Task Bytes_of_another_form_are_damage_not_a_crash()
    {
        using var customer = new CustomerKey(RandomNumberGenerator.GetBytes(32));
        foreach (var request in new EncryptionRequest[] { new(EncryptionMode.SseS3), new(EncryptionMode.SseC, CustomerKey: customer) })
        {
            var (_, encryption) = await _keys.CreateAsync(request, Ct);
            for (var length = 0; length < encryption.WrappedKey.Length; length++)
            {
                var cut = encryption with { WrappedKey = encryption.WrappedKey[..length] };
                var error = await KeyRingTests.ErrorOfAsync(() => _keys.OpenAsync(cut, request.CustomerKey, Ct));
                Assert.Equal(StorageError.DataDamaged, error);
            }
            Assert.DoesNotContain("[", encryption.ToString(), StringComparison.Ordinal);
        }
    }
}
