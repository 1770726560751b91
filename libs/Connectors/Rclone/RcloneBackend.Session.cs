using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

// How rclone comes to know the place, and which access token it works by.
internal sealed partial class RcloneBackend
{
    /// <summary>The process, which knows the place. One that was started anew is told of it again.</summary>
    private async Task<Session> SessionAsync(CancellationToken ct)
    {
        var process = await _program.RunningAsync(ct);
        if (_session is { } known && known.Process == process && known.Token == await TokenAsync(ct)) return known;
        await _opening.WaitAsync(ct);
        try
        {
            // Asked for in turn: nobody who had an older one takes it back to that.
            var token = _told = await TokenAsync(ct);
            if (_session is not { } other || other.Process != process) return _session = await OpenSessionAsync(process, token, ct);
            if (other.Token == token) return other;
            // From then on rclone opens the place with it; what is under way looks for it when the one before has ended.
            await process.CallAsync("config/update", new() { ["name"] = _name, ["parameters"] = new JsonObject { ["token"] = JsonOf(token!) }, ["opt"] = new JsonObject { ["obscure"] = true, ["nonInteractive"] = true } }, ct);
            return _session = other with { Token = token };
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <summary>rclone is told of new tokens as long as this lasts: what takes longer than one is good for would end with it.</summary>
    private TokenTelling? TellWhile(CancellationToken ct) => _tokens is null ? null : new(this, ct);

    private sealed class TokenTelling : IAsyncDisposable
    {
        /// <summary>Well within the time before its end at which one is renewed.</summary>
        private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);

        private readonly CancellationTokenSource _ending;
        private readonly Task _telling;

        public TokenTelling(RcloneBackend backend, CancellationToken ct)
        {
            _ending = CancellationTokenSource.CreateLinkedTokenSource(ct);
            _telling = TellAsync(backend, _ending.Token);
        }

        public async ValueTask DisposeAsync()
        {
            await _ending.CancelAsync();
            await _telling.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _ending.Dispose();
        }

        private static async Task TellAsync(RcloneBackend backend, CancellationToken ct)
        {
            while (true)
            {
                await Task.Delay(Every, backend._clock, ct);
                try
                {
                    await backend.SessionAsync(ct);
                }
                catch (Exception e) when (IsOfCall(e))
                {
                    // What it is told for goes on with the one there is, and says what goes wrong.
                }
            }
        }
    }

    private async ValueTask<AccessToken?> TokenAsync(CancellationToken ct) => _tokens is null ? null : await _tokens.GetAsync(ct);

    /// <summary>As rclone keeps them, and without what it could renew it by: a refresh token that is taken once would be used up for all other nodes.</summary>
    private static string JsonOf(AccessToken token)
    {
        var json = new JsonObject { ["access_token"] = token.Text, ["token_type"] = "Bearer" };
        if (token.Ends is { } ends) json["expiry"] = ends.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        return json.ToJsonString();
    }

    private async Task<Session> OpenSessionAsync(RcloneProcess process, AccessToken? token, CancellationToken ct)
    {
        // What goes by HTTP is looked at where it connects.
        if (_remote.Host is { } host) await OutboundConnections.RequireAllAllowedAsync(host, ct);
        var parameters = new JsonObject();
        foreach (var (option, value) in _remote.Parameters) parameters[option] = value;
        if (token is not null) parameters["token"] = JsonOf(token);
        if (_remote.HostKeys is { } keys) parameters["known_hosts_file"] = await process.WriteFileAsync(_name, keys, ct);
        await process.CallAsync("config/create", new() { ["name"] = _name, ["type"] = _remote.Kind.Name, ["parameters"] = parameters, ["opt"] = new JsonObject { ["obscure"] = true, ["nonInteractive"] = true } }, ct);
        var fs = $"{_name}:{_remote.Root}";
        var about = await process.CallAsync("operations/fsinfo", new() { ["fs"] = fs }, ct);
        var features = about.GetProperty("Features");
        var hashes = about.GetProperty("Hashes");
        using var hash = hashes.ValueKind == JsonValueKind.Array ? PlaceHash.Best([.. hashes.EnumerateArray().Select(h => h.GetString() ?? "")]) : null;
        return new(process, fs, hash?.Name)
        {
            Token = token, CanRename = Has("Move") || Has("Copy"), HasDuplicates = Has("DuplicateFiles"), IsCaseBlind = Has("CaseInsensitive"), HasFolders = Has("CanHaveEmptyDirectories"), TellsRoom = Has("About"),
        };

        bool Has(string feature) => features.ValueKind == JsonValueKind.Object && features.TryGetProperty(feature, out var value) && value.ValueKind == JsonValueKind.True;
    }

    /// <summary>What one process knows of the place.</summary>
    /// <param name="Fs">As rclone is told of it: nothing secret is in it.</param>
    /// <param name="HashName">The checksum that is compared; null for none.</param>
    private sealed record Session(RcloneProcess Process, string Fs, string? HashName)
    {
        /// <summary>What rclone was told last; null for a place without.</summary>
        public AccessToken? Token { get; init; }

        public bool CanRename { get; init; }

        public bool HasDuplicates { get; init; }

        public bool IsCaseBlind { get; init; }

        /// <summary>Folders are things of their own there, so that a file can't have one's name.</summary>
        public bool HasFolders { get; init; }

        public bool TellsRoom { get; init; }

        public PlaceHash? NewHash() => HashName is null ? null : PlaceHash.Best([HashName]);

        public Task<JsonElement> CallAsync(string command, JsonObject parameters, CancellationToken ct) => Process.CallAsync(command, parameters, ct);
    }
}
