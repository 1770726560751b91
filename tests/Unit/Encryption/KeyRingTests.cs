using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Secrets;
using DarkStorage.Unit.Storage;
using Xunit;

namespace DarkStorage.Unit.Encryption;

public sealed class KeyRingTests : IDisposable
{
    private static readonly CancellationToken Ct = CancellationToken.None;

    private readonly ScratchDirectory _directory = new();
    private readonly byte[] _master = RandomNumberGenerator.GetBytes(32);

    private string RingPath => Path.Combine(_directory.Path, "keyring");

    public void Dispose() => _directory.Dispose();

    private Task<KeyRing> OpenAsync(KeyRingFile file, params byte[][] newer) =>
        KeyRing.OpenAsync(file, new MasterKeyBox([.. newer.SelectMany(k => k), .. _master]), TimeProvider.System, Ct);

    [Fact]
    public async Task A_new_ring_has_the_two_default_keys_in_a_file_for_its_owner_alone()
    {
        using var file = KeyRingFile.Open(RingPath);
        using var ring = await OpenAsync(file);
        Assert.Equal([KeyRing.KmsKeyId, KeyRing.ObjectsKeyId], ring.List().Select(k => k.Name));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(RingPath));
        Assert.Equal(-1, File.ReadAllBytes(RingPath).AsSpan().IndexOf("darkstorage"u8));
    }

    [Fact]
    public async Task A_data_key_opens_again_under_its_key_and_context_alone()
    {
        using var file = KeyRingFile.Open(RingPath);
        using var ring = await OpenAsync(file);
        await ring.CreateAsync("one", Ct);
        await ring.CreateAsync("two", Ct);
        var context = KeyContext.Parse("""{"a":"1","b":"2"}""");
        var (key, wrapped) = await ring.GenerateAsync("one", context, Ct);
        using var again = await ring.DecryptAsync("one", wrapped, KeyContext.Parse("""{ "b":"2", "a":"1" }"""), Ct);
        Assert.Equal(key.Bytes, again.Bytes);
        using var byArn = await ring.DecryptAsync("arn:aws:kms:us-east-1:123456789012:key/one", wrapped, context, Ct);
        Assert.Equal(key.Bytes, byArn.Bytes);
        Assert.Equal(StorageError.DataDamaged, await ErrorOfAsync(() => ring.DecryptAsync("two", wrapped, context, Ct)));
        Assert.Equal(StorageError.DataDamaged, await ErrorOfAsync(() => ring.DecryptAsync("one", wrapped, KeyContext.Empty, Ct)));
        for (var i = 0; i < wrapped.Length; i++)
        {
            var changed = (byte[])wrapped.Clone();
            changed[i] ^= 0x80;
            Assert.Equal(StorageError.DataDamaged, await ErrorOfAsync(() => ring.DecryptAsync("one", changed, context, Ct)));
        }
        Assert.Equal(StorageError.KeyNotFound, await ErrorOfAsync(() => ring.DecryptAsync("three", wrapped, context, Ct)));
    }

    [Fact]
    public async Task A_rotated_key_wraps_anew_and_opens_what_it_wrapped_before()
    {
        using var file = KeyRingFile.Open(RingPath);
        using var ring = await OpenAsync(file);
        var (key, before) = await ring.GenerateAsync(KeyRing.KmsKeyId, KeyContext.Empty, Ct);
        await ring.RotateAsync(KeyRing.KmsKeyId, Ct);
        using var opened = await ring.DecryptAsync(KeyRing.KmsKeyId, before, KeyContext.Empty, Ct);
        Assert.Equal(key.Bytes, opened.Bytes);
        var (next, after) = await ring.GenerateAsync(KeyRing.KmsKeyId, KeyContext.Empty, Ct);
        using var again = await ring.DecryptAsync(KeyRing.KmsKeyId, after, KeyContext.Empty, Ct);
        Assert.Equal(next.Bytes, again.Bytes);
        Assert.NotEqual(before[..4], after[..4]); // the version's number
        Assert.Equal(2, ring.List().Single(k => k.Name == KeyRing.KmsKeyId).Versions);
    }

    [Fact]
    public async Task A_disabled_key_neither_wraps_nor_opens_until_it_is_enabled()
    {
        using var file = KeyRingFile.Open(RingPath);
        using var ring = await OpenAsync(file);
        await ring.CreateAsync("k", Ct);
        var (_, wrapped) = await ring.GenerateAsync("k", KeyContext.Empty, Ct);
        await ring.SetEnabledAsync("k", false, Ct);
        Assert.Equal(StorageError.KeyDisabled, await ErrorOfAsync(() => ring.GenerateAsync("k", KeyContext.Empty, Ct)));
        Assert.Equal(StorageError.KeyDisabled, await ErrorOfAsync(() => ring.DecryptAsync("k", wrapped, KeyContext.Empty, Ct)));
        Assert.False((await ring.DescribeAsync("k", Ct))!.Enabled);
        await ring.SetEnabledAsync("k", true, Ct);
        (await ring.DecryptAsync("k", wrapped, KeyContext.Empty, Ct)).Dispose();
        Assert.Null(await ring.DescribeAsync("none", Ct));
    }

    [Theory, InlineData(""), InlineData("with space"), InlineData("arn:aws:kms:x"), InlineData("umläut"), InlineData(KeyRing.KmsKeyId)]
    public async Task A_name_that_is_not_allowed_or_taken_is_refused(string name)
    {
        using var file = KeyRingFile.Open(RingPath);
        using var ring = await OpenAsync(file);
        var refused = await Assert.ThrowsAsync<StorageException>(() => ring.CreateAsync(name, Ct));
        Assert.Equal(StorageError.InvalidArgument, refused.Error);
    }

    [Fact]
    public async Task All_is_there_after_a_restart_and_not_without_the_master_key()
    {
        byte[] wrapped;
        DataKey key;
        using (var file = KeyRingFile.Open(RingPath))
        {
            using var ring = await OpenAsync(file);
            await ring.CreateAsync("k", Ct);
            await ring.RotateAsync("k", Ct);
            (key, wrapped) = await ring.GenerateAsync("k", KeyContext.Empty, Ct);
        }
        using (var file = KeyRingFile.Open(RingPath))
        {
            using var ring = await OpenAsync(file);
            using var again = await ring.DecryptAsync("k", wrapped, KeyContext.Empty, Ct);
            Assert.Equal(key.Bytes, again.Bytes);
        }
        using var other = KeyRingFile.Open(RingPath);
        await Assert.ThrowsAsync<StorageStartupException>(() => KeyRing.OpenAsync(other, new MasterKeyBox(new byte[32]), TimeProvider.System, Ct));
    }

    [Fact]
    public void A_ring_that_is_open_is_not_opened_twice()
    {
        using var file = KeyRingFile.Open(RingPath);
        Assert.Throws<StorageStartupException>(() => KeyRingFile.Open(RingPath));
    }

    [Theory, InlineData(nameof(PrivateFile.Step.HalfWritten)), InlineData(nameof(PrivateFile.Step.Written)), InlineData(nameof(PrivateFile.Step.Moved))]
    public async Task A_ring_survives_a_crash_at_each_step_of_a_change(string step)
    {
        byte[] wrapped;
        var crash = false;
        using (var file = KeyRingFile.Open(RingPath, reached => { if (crash && reached.ToString() == step) throw new IOException("the power went"); }))
        {
            using var ring = await OpenAsync(file);
            await ring.CreateAsync("before", Ct);
            wrapped = (await ring.GenerateAsync("before", KeyContext.Empty, Ct)).Wrapped;
            crash = true;
            await Assert.ThrowsAsync<IOException>(() => ring.CreateAsync("after", Ct));
            // What is not durable must not wrap.
            Assert.Equal(StorageError.KeyNotFound, await ErrorOfAsync(() => ring.GenerateAsync("after", KeyContext.Empty, Ct)));
        }
        using var again = KeyRingFile.Open(RingPath);
        using var opened = await OpenAsync(again);
        (await opened.DecryptAsync("before", wrapped, KeyContext.Empty, Ct)).Dispose();
        Assert.Equal(step == nameof(PrivateFile.Step.Moved), await opened.DescribeAsync("after", Ct) is not null);
        await opened.CreateAsync("later", Ct);
    }

    [Theory, InlineData(nameof(PrivateFile.Step.HalfWritten)), InlineData(nameof(PrivateFile.Step.Written)), InlineData(nameof(PrivateFile.Step.Moved))]
    public async Task A_rotation_of_the_master_key_that_crashes_leaves_a_ring_that_opens(string step)
    {
        byte[] wrapped;
        using (var file = KeyRingFile.Open(RingPath))
        {
            using var ring = await OpenAsync(file);
            wrapped = (await ring.GenerateAsync(KeyRing.KmsKeyId, KeyContext.Empty, Ct)).Wrapped;
        }
        var newer = RandomNumberGenerator.GetBytes(32);
        using (var file = KeyRingFile.Open(RingPath, reached => { if (reached.ToString() == step) throw new IOException("the power went"); }))
            await Assert.ThrowsAsync<IOException>(() => OpenAsync(file, newer));
        // Opens with both, and with them goes on to what the rotation wanted: the new key alone is enough.
        using (var file = KeyRingFile.Open(RingPath)) (await OpenAsync(file, newer)).Dispose();
        using var alone = KeyRingFile.Open(RingPath);
        using var opened = await KeyRing.OpenAsync(alone, new MasterKeyBox(newer), TimeProvider.System, Ct);
        (await opened.DecryptAsync(KeyRing.KmsKeyId, wrapped, KeyContext.Empty, Ct)).Dispose();
    }

    [Fact]
    public async Task Two_nodes_that_change_a_shared_ring_keep_each_others_keys()
    {
        var shared = new SharedStorage();
        var box = new MasterKeyBox(_master);
        using var one = await KeyRing.OpenAsync(shared, box, TimeProvider.System, Ct);
        using var two = await KeyRing.OpenAsync(shared, box, TimeProvider.System, Ct);
        await one.CreateAsync("of-one", Ct);
        await two.CreateAsync("of-two", Ct);
        using var third = await KeyRing.OpenAsync(shared, box, TimeProvider.System, Ct);
        Assert.Equal([KeyRing.KmsKeyId, KeyRing.ObjectsKeyId, "of-one", "of-two"], third.List().Select(k => k.Name));
        Assert.Equal(StorageError.InvalidArgument, (await Assert.ThrowsAsync<StorageException>(() => one.CreateAsync("of-two", Ct))).Error);
    }

    [Fact]
    public async Task What_one_node_wrapped_under_a_key_or_a_version_that_is_new_opens_at_another()
    {
        var shared = new SharedStorage();
        var box = new MasterKeyBox(_master);
        using var one = await KeyRing.OpenAsync(shared, box, TimeProvider.System, Ct);
        using var two = await KeyRing.OpenAsync(shared, box, TimeProvider.System, Ct);
        await one.RotateAsync(KeyRing.ObjectsKeyId, Ct);
        await one.CreateAsync("new", Ct);
        foreach (var name in (string[])[KeyRing.ObjectsKeyId, "new"])
        {
            var (key, wrapped) = await one.GenerateAsync(name, KeyContext.Empty, Ct);
            using var opened = await two.DecryptAsync(name, wrapped, KeyContext.Empty, Ct);
            Assert.Equal(key.Bytes, opened.Bytes);
        }
        await one.SetEnabledAsync("new", false, Ct);
        await two.RefreshAsync(Ct);
        Assert.False(two.List().Single(k => k.Name == "new").Enabled);
    }

    [Fact]
    public async Task Nodes_with_the_same_master_keys_in_another_order_read_a_shared_ring_and_seal_it_anew_only_when_told_to()
    {
        var shared = new SharedStorage();
        var newer = RandomNumberGenerator.GetBytes(32);
        var (oldFirst, newFirst) = (new MasterKeyBox([.. _master, .. newer]), new MasterKeyBox([.. newer, .. _master]));
        using var one = await KeyRing.OpenAsync(shared, oldFirst, TimeProvider.System, Ct);
        using var two = await KeyRing.OpenAsync(shared, newFirst, TimeProvider.System, Ct);
        await one.RefreshAsync(Ct);
        await two.RefreshAsync(Ct);
        Assert.Equal(1, shared.Revision);
        await two.CreateAsync("of-two", Ct);
        await one.RefreshAsync(Ct);
        await one.CreateAsync("of-one", Ct);
        Assert.Equal(3, shared.Revision);

        Assert.True(await two.SealAnewAsync(Ct));
        Assert.False(await two.SealAnewAsync(Ct));
        Assert.Equal(4, shared.Revision);
        using var alone = await KeyRing.OpenAsync(shared, new MasterKeyBox(newer), TimeProvider.System, Ct);
        Assert.Equal([KeyRing.KmsKeyId, KeyRing.ObjectsKeyId, "of-one", "of-two"], alone.List().Select(k => k.Name));
    }

    [Theory, InlineData("[]"), InlineData("{"), InlineData("""{"a":1}"""), InlineData("""{"a":{"b":"c"}}"""), InlineData("""{"a":"1","a":"2"}""")]
    public void A_context_that_is_no_flat_object_of_texts_is_refused(string json) =>
        Assert.Equal(StorageError.InvalidArgument, Assert.Throws<StorageException>(() => KeyContext.Parse(json)).Error);

    [Fact]
    public void A_context_that_is_too_long_is_refused() =>
        Assert.Throws<StorageException>(() => KeyContext.Parse($$"""{"a":"{{new string('x', 5000)}}"}"""));

    internal static async Task<StorageError> ErrorOfAsync<T>(Func<ValueTask<T>> call) =>
        (await Assert.ThrowsAsync<StorageException>(async () => await call())).Error;

    private sealed class SharedStorage : IKeyRingStorage
    {
        private StoredKeyRing? _stored;

        public bool IsShared => true;

        public long Revision => _stored?.Revision ?? 0;

        public ValueTask<StoredKeyRing?> ReadAsync(CancellationToken ct) => new(_stored);

        public ValueTask<bool> TryReplaceAsync(ReadOnlyMemory<byte> sealedRing, long revision, CancellationToken ct)
        {
            if ((_stored?.Revision ?? 0) != revision) return new(false);
            _stored = new(sealedRing.ToArray(), revision + 1);
            return new(true);
        }
    }
}
