using System.Security.Cryptography;
using System.Text.Json;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.AccessKeys;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.Grains.AccessKeys;
using DarkStorage.Grains.Events;
using DarkStorage.Storage.Secrets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>Secrets in grain state when the key that seals them is changed.</summary>
public sealed class SealAnewTests : IAsyncLifetime
{
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private readonly byte[] _old = RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength);
    private readonly byte[] _new = RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength);
    private readonly ChangingBox _box = new();
    private readonly Sender _sender = new();
    private GrainHost _host = null!;

    public async ValueTask InitializeAsync()
    {
        _box.Inner = new(_old);
        _host = await GrainHost.StartAsync(services => services.AddSingleton<IEventSender>(_sender).AddSingleton<ISecretBox>(_box).AddSingleton(Options.Create(new EventOptions())));
    }

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task An_access_key_is_sealed_anew_once_and_opens_with_the_new_key_alone()
    {
        var grain = _host.Grains.GetGrain<IAccessKeyGrain>("AKEY");
        await grain.CreateAsync(new("AKEY", "its secret", "account", true), Ct);
        Assert.False(await grain.SealAnewAsync(Ct));
        _box.Inner = new([.. _new, .. _old]);
        Assert.Equal("its secret", (await grain.FindAsync(Ct))!.Secret);
        Assert.True(await grain.SealAnewAsync(Ct));
        Assert.False(await grain.SealAnewAsync(Ct));
        _box.Inner = new(_new);
        Assert.Equal(new("AKEY", "its secret", "account", true), await grain.FindAsync(Ct));
        Assert.True(_box.IsCurrent((await StateAsync<AccessKeyState>(AccessKeyState.Name)).SealedSecret));
        Assert.False(await _host.Grains.GetGrain<IAccessKeyGrain>("NOBODYS").SealAnewAsync(Ct));
    }

    [Fact]
    public async Task An_access_key_that_no_key_opens_is_named()
    {
        var grain = _host.Grains.GetGrain<IAccessKeyGrain>("AKEY");
        await grain.CreateAsync(new("AKEY", "its secret", "account", true), Ct);
        _box.Inner = new(_new);
        var e = await Assert.ThrowsAsync<StorageException>(() => grain.SealAnewAsync(Ct));
        Assert.Equal(StorageError.DataDamaged, e.Error);
        Assert.Contains("AKEY", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_event_targets_secret_is_sealed_anew_and_signs_as_before()
    {
        var grain = _host.Grains.GetGrain<IEventTargetGrain>("target");
        await grain.SaveAsync(new("http://target.example/"), null, Ct);
        _box.Inner = new([.. _new, .. _old]);
        Assert.False(await grain.SealAnewAsync(Ct));    // it has none
        _box.Inner = new(_old);
        await grain.SaveAsync(new("http://target.example/"), "its secret", Ct);
        _box.Inner = new([.. _new, .. _old]);
        Assert.True(await grain.SealAnewAsync(Ct));
        Assert.False(await grain.SealAnewAsync(Ct));
        _box.Inner = new(_new);
        await grain.TestAsync([1], Ct);
        Assert.Equal("its secret", _sender.Secret);
        Assert.True(_box.IsCurrent((await StateAsync<EventTargetState>("event-target")).SealedSecret));
    }

    /// <summary>The state that is in the index, of the one grain that has such a one.</summary>
    private async Task<T> StateAsync<T>(string name) =>
        JsonSerializer.Deserialize<T>((await _host.Index.ReadGrainStateAsync(name, Assert.Single(await _host.Index.ListGrainStatesAsync(name, "", 10, Ct)), Ct))!.State.AsSpan())!;

    private sealed class Sender : IEventSender
    {
        public string? Secret { get; private set; }

        public Task<EventAnswer> SendAsync(Uri url, string? secret, long sequence, ReadOnlyMemory<byte> document, CancellationToken ct)
        {
            Secret = secret;
            return Task.FromResult(new EventAnswer(EventOutcome.Delivered, ""));
        }
    }

    /// <summary>The node that has the grains is started with other keys.</summary>
    private sealed class ChangingBox : ISecretBox
    {
        public MasterKeyBox Inner { get; set; } = null!;

        public byte[] Seal(ReadOnlySpan<byte> secret, string purpose) => Inner.Seal(secret, purpose);

        public byte[] OpenBytes(ReadOnlySpan<byte> box, string purpose) => Inner.OpenBytes(box, purpose);

        public bool IsCurrent(ReadOnlySpan<byte> box) => Inner.IsCurrent(box);
    }
}
