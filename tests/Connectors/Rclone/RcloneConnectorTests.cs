using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.Rclone;

/// <summary>Settings, texts and checksums: what needs no server.</summary>
public sealed class RcloneConnectorTests
{
    private static readonly ConnectorType Type = RcloneConnector.On(new("rclone", TimeProvider.System)).Type;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private static RcloneRemote Remote(params (string Name, string Value)[] settings) => RcloneConnector.RemoteOf(Type.Complete(null, settings.ToDictionary(s => s.Name, s => s.Value)));

    [Theory]
    [InlineData("local"), InlineData("alias"), InlineData("crypt"), InlineData("union"), InlineData("combine"), InlineData("chunker"), InlineData("compress"), InlineData("cache"), InlineData("hasher"), InlineData("memory"), InlineData("http"), InlineData("sia"), InlineData("sftp,ssh=id")]
    public void Backends_that_read_this_machine_or_keep_nothing_are_not_taken(string type) =>
        Assert.Equal(StorageError.InvalidArgument, Assert.Throws<StorageException>(() => Remote(("remote-type", type), ("path", "/etc"))).Error);

    [Theory]
    [InlineData("drive", "token"), InlineData("jottacloud", "token"), InlineData("mega", "password"), InlineData("pikpak", "password")]
    public void Backends_that_were_taken_once_are_not_given_and_those_that_are_there_go_on(string type, string secret)
    {
        Assert.Equal(StorageError.InvalidArgument, Assert.Throws<StorageException>(() => Remote(("remote-type", type), (secret, "1"))).Error);
        var kept = ImmutableSortedDictionary.CreateRange([KeyValuePair.Create("remote-type", type), KeyValuePair.Create(secret, "1")]);
        Assert.Equal("2", Assert.Single(RcloneConnector.RemoteOf(Type.Complete("drive", [new(secret, "2")], kept)).Parameters).Value);
    }

    [Fact]
    public void What_a_later_program_has_kept_is_refused_and_not_a_fault() =>
        Assert.Equal(StorageError.InvalidArgument, Assert.Throws<StorageException>(() => RcloneConnector.RemoteOf(new Dictionary<string, string> { ["remote-type"] = "later" })).Error);

    [Fact]
    public void A_client_goes_to_rclone_where_nobody_here_could_ask_for_access_by_it()
    {
        Assert.Equal("app", Remote(("remote-type", "zoho"), ("client-id", "app")).Parameters["client_id"]);
        Assert.DoesNotContain("client_id", Remote(("remote-type", "dropbox"), ("client-id", "app")).Parameters.Keys);
        Assert.Equal("app", Remote(("remote-type", "dropbox"), ("client-id", "app"), ("token", "{}")).Parameters["client_id"]);
        Assert.Contains("zoho is not authorized so", Assert.Throws<StorageException>(() => Remote(("remote-type", "zoho"), ("client-id", "app"), ("token-url", "https://example.org/"))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sftp", "key_file=/etc/shadow"), InlineData("sftp", "known_hosts_file=/etc/passwd"), InlineData("sftp", "ssh=sh -c id"), InlineData("sftp", "key_use_agent=true"), InlineData("sftp", "pubkey_file=/x"), InlineData("sftp", "host=169.254.169.254"), InlineData("sftp", "pass=x"),
     InlineData("webdav", "bearer_token_command=id"), InlineData("webdav", "unix_socket=/run/x"), InlineData("onedrive", "service_account_file=/x"), InlineData("swift", "env_auth=true"), InlineData("ftp", "type=local"), InlineData("webdav", "type = ftp"), InlineData("ftp", "ask_password=true"), InlineData("azureblob", "use_az=true"), InlineData("box", "box_config_file=/x"), InlineData("azureblob", "use_msi=true"), InlineData("azureblob", "client_certificate_path=/x"),
     InlineData("s3", "shared_credentials_file=/x"), InlineData("s3", "profile=x"), InlineData("smb", "kerberos_ccache=/x"), InlineData("ftp", "socks_proxy=x:1"), InlineData("ftp", "global.config=/x"), InlineData("ftp", "override.type=local"), InlineData("ftp", "NAME=x"), InlineData("ftp", "no value")]
    public void Options_by_which_rclone_would_read_or_run_what_is_this_machines_are_not_taken(string type, string option)
    {
        Assert.Equal("one", Remote([.. NeedsOf(type), ("options", "a_good=one")]).Parameters["a_good"]);
        var error = Assert.Throws<StorageException>(() => Remote([.. NeedsOf(type), ("options", $"a_good=one\n{option}")]));
        Assert.Equal(StorageError.InvalidArgument, error.Error);
        Assert.Matches("^options: (.* is not taken|.* is the field|each line is)", error.Message);
    }

    private static (string, string)[] NeedsOf(string type) => type switch
    {
        "sftp" => [("remote-type", type), ("path", "share"), ("host", "h"), ("user", "u")],
        "ftp" or "smb" => [("remote-type", type), ("path", "share"), ("host", "h")],
        "webdav" => [("remote-type", type), ("path", "share"), ("url", "http://h/")],
        _ => [("remote-type", type), ("path", "share")],
    };

    [Fact]
    public void Every_option_of_this_rclone_that_names_a_file_or_a_command_is_not_taken()
    {
        using var process = Process.Start(new ProcessStartInfo("rclone", ["--config", "", "config", "providers"]) { RedirectStandardOutput = true })!;
        using var providers = System.Text.Json.JsonDocument.Parse(process.StandardOutput.ReadToEnd());
        var taken = new List<string>();
        foreach (var provider in providers.RootElement.EnumerateArray())
        {
            var type = provider.GetProperty("Name").GetString()!;
            if (!Type.Fields.Single(f => f.Name == "remote-type").Choices.Contains(type)) continue;
            foreach (var option in provider.GetProperty("Options").EnumerateArray())
            {
                var (name, help) = (option.GetProperty("Name").GetString()!, option.GetProperty("Help").GetString()!.Split('\n')[0]);
                if (!help.Contains("path to", StringComparison.OrdinalIgnoreCase) && !help.Contains("command to", StringComparison.OrdinalIgnoreCase) && !help.Contains("command used", StringComparison.OrdinalIgnoreCase) && !help.Contains("environment", StringComparison.OrdinalIgnoreCase) && !help.Contains("file path", StringComparison.OrdinalIgnoreCase)) continue;
                try
                {
                    Remote([.. NeedsOf(type), ("options", $"{name}=x")]);
                    taken.Add($"{type} {name}: {help}");
                }
                catch (StorageException e)
                {
                    Assert.StartsWith("options: ", e.Message, StringComparison.Ordinal);
                }
            }
        }
        Assert.Empty(taken);
    }

    [Theory]
    [InlineData("path", "a/../b"), InlineData("path", ".."), InlineData("path", "a]b"), InlineData("host", "a b"), InlineData("host", "u@h"), InlineData("host", "h/p"), InlineData("token", "x")]
    public void Settings_that_can_not_be_right_are_refused(string field, string value) =>
        Assert.StartsWith(field, Assert.Throws<StorageException>(() => Remote([.. new[] { ("remote-type", "sftp"), ("host", "h"), ("user", "u"), ("path", "/x") }.Where(s => s.Item1 != field), (field, value)])).Message, StringComparison.Ordinal);

    [Fact]
    public async Task Every_preset_opens()
    {
        using var catalog = new ConnectorCatalog(TimeProvider.System);
        foreach (var preset in Type.Presets)
        {
            var settings = catalog.Types.Single(t => t.Name == "rclone").Complete(preset.Name, preset.Name is "sftp" or "ftp" or "smb" ? new() { ["host"] = "h", ["user"] = "u", ["path"] = "p" } : preset.Name is "webdav" or "nextcloud" or "owncloud" ? new Dictionary<string, string> { ["url"] = "http://h/" } : []);
            await using var backend = catalog.Open("any", "rclone", settings);
        }
    }

    [Fact]
    public void A_key_goes_on_one_line_and_options_as_they_are()
    {
        var remote = Remote(("remote-type", "sftp"), ("host", "h"), ("user", "u"), ("key", "-----BEGIN\r\nab\r\n-----END\r\n"), ("options", "set_modtime = false\r\n\r\nshell_type=none=really"), ("host-keys", "h ssh-ed25519 AAAA"));
        Assert.Equal("-----BEGIN\\nab\\n-----END", remote.Parameters["key_pem"]);
        Assert.Equal(("false", "none=really", "true"), (remote.Parameters["set_modtime"], remote.Parameters["shell_type"], remote.Parameters["skip_links"]));
        Assert.Equal("h ssh-ed25519 AAAA\n", remote.HostKeys);
    }

    [Theory]
    [InlineData("NewFs: couldn't connect SSH: ssh: handshake failed: ssh: unable to authenticate, attempted methods [none password], no supported methods remain", BackendError.AccessDenied)]
    [InlineData("NewFs: couldn't connect SSH: ssh: handshake failed: knownhosts: key mismatch", BackendError.AccessDenied)]
    [InlineData("NewFs: failed to make FTP connection to \"h:21\": 530 Login incorrect.", BackendError.AccessDenied)]
    [InlineData("read metadata failed: <html>\r\n<h1>401 Authorization Required</h1></html>: 401 Unauthorized", BackendError.AccessDenied)]
    [InlineData("couldn't fetch token - maybe it has expired? - refresh with \"rclone config reconnect x:\": Post \"https://h/token\": dial tcp: lookup h: no such host", BackendError.Unavailable)]
    [InlineData("couldn't fetch token: oauth2: cannot fetch token: 400 Bad Request Response: {\"error\":\"invalid_grant\"}", BackendError.AccessDenied)]
    [InlineData("dial tcp 127.0.0.1:1: connect: connection refused", BackendError.Unavailable)]
    [InlineData("update stor: 1 error occurred:\n\t* 451 Failure writing to local file.\n\n", BackendError.Full)]
    [InlineData("update stor: 552 Quota exceeded.", BackendError.Full)]
    [InlineData("googleapi: Error 403: The user's Drive storage quota has been exceeded., storageQuotaExceeded", BackendError.Full)]
    [InlineData("path/insufficient_space/.", BackendError.Full)]
    [InlineData("Insufficient Storage: 507 Insufficient Storage", BackendError.Full)]
    [InlineData("googleapi: Error 403: Rate Limit Exceeded, rateLimitExceeded", BackendError.Throttled)]
    [InlineData("too_many_write_operations/", BackendError.Throttled)]
    [InlineData("HTTP error 429 (429 Too Many Requests) returned", BackendError.Throttled)]
    [InlineData("421 There are too many connections from your internet address.", BackendError.Throttled)]
    [InlineData("Put mkParentDir failed: is a file not a directory", BackendError.Refused)]
    [InlineData("Update Create failed: sftp: \"Bad message\" (SSH_FX_BAD_MESSAGE)", BackendError.Refused)]
    [InlineData("error in ListJSON: directory not found", BackendError.PlaceMissing)]
    [InlineData("couldn't find backend for type \"storj\"", BackendError.PlaceMissing)]
    [InlineData("failed to find object: object not found", BackendError.NotFound)]
    [InlineData("something that nobody thought of", BackendError.Unavailable)]
    public void Texts_are_of_the_kind_that_they_mean(string text, BackendError expected) => Assert.Equal(expected, RcloneFailures.Of(new(500, text), "it", [], []).Error);

    [Fact]
    public void A_message_has_no_secret_no_page_and_no_name_that_decides_its_kind()
    {
        var remote = Remote(("remote-type", "onedrive"), ("token", """{"access_token":"eyJ0-very-secret","refresh_token":"refr/esh+secret","expiry":"2026-01-01"}"""), ("path", "/throttled/certificate"), ("options", "drive_id=b!12345\nlink_password=pass word"));
        var name = BlobName.Parse("quota exceeded 429 ");
        var error = RcloneFailures.Of(new(500, "<html><body>no: eyJ0-very-secret, refr/esh+secret, refr%2Fesh%2Bsecret, pass word, https://h/x?sig=abc&y=1 of quota exceeded 429 in /throttled/certificate</body></html>"), "it", remote.WordsWith(name), remote.Secrets);
        foreach (var secret in new[] { "secret", "pass word", "abc", "<html" }) Assert.DoesNotContain(secret, error.ToString(), StringComparison.Ordinal);
        Assert.Equal(BackendError.Unavailable, error.Error);
    }

    [Theory, InlineData("md5"), InlineData("sha1"), InlineData("sha256"), InlineData("dropbox"), InlineData("quickxor")]
    public async Task Checksums_are_those_of_rclone(string name)
    {
        foreach (var length in new[] { 0, 1, 3, 4095, (4 << 20) - 1, 4 << 20, 9_000_001 })
        {
            var content = new byte[length];
            Random.Shared.NextBytes(content);
            using var hash = PlaceHash.Best([name])!;
            for (var from = 0; from < length; from += 70_001) hash.Append(content.AsSpan(from, Math.Min(70_001, length - from)));
            var file = Path.GetTempFileName();
            try
            {
                await File.WriteAllBytesAsync(file, content, Ct);
                using var process = Process.Start(new ProcessStartInfo("rclone", ["--config", "", "hashsum", name, file]) { RedirectStandardOutput = true })!;
                Assert.Equal((await process.StandardOutput.ReadToEndAsync(Ct)).Split(' ')[0], hash.Finish());
            }
            finally
            {
                File.Delete(file);
            }
        }
    }

    [Theory]
    [InlineData("{\"list\":[]}", 0)]
    [InlineData("{\"list\":null}", 0)]
    [InlineData("{\"list\":[{\"Path\":\"a\",\"Name\":\"a\",\"Size\":1,\"ModTime\":\"2026-01-01T00:00:00Z\",\"IsDir\":false,\"Hashes\":{\"md5\":\"x\"}},{\"Name\":\"b\",\"Size\":-1,\"ModTime\":\"?\",\"IsDir\":true}]}", 2)]
    [InlineData("", -1), InlineData("<html>", -1), InlineData("{\"list\":[{\"Name\":\"a\"}]}", -1), InlineData("{\"list\":[{\"Name\":1,\"Size\":1}]}", -1), InlineData("{\"list\":[{\"Name\":\"a\",\"Size\":1", -1)]
    public async Task A_list_is_read_in_pieces_and_what_makes_no_sense_is_an_error(string answer, int count)
    {
        async Task<int> CountAsync()
        {
            var items = 0;
            await foreach (var item in RcloneList.ReadAsync(new OneByOne(Encoding.UTF8.GetBytes(answer)), Ct)) items++;
            return items;
        }

        if (count >= 0) Assert.Equal(count, await CountAsync());
        else await Assert.ThrowsAsync<RcloneException>(CountAsync);
    }

    [Fact]
    public async Task The_proxy_serves_who_has_its_password_and_leads_to_no_address_that_hands_out_credentials()
    {
        using var proxy = new GuardedProxy();
        using var contents = new ContentListener();
        await using var offer = contents.Offer(BlobSource.Of(Encoding.UTF8.GetBytes("there")), null, Ct);
        Assert.Equal(HttpStatusCode.Forbidden, (await AskAsync(proxy.Address, "http://169.254.169.254/latest/meta-data/")).Status);
        Assert.Equal(HttpStatusCode.BadGateway, (await AskAsync(proxy.Address, "http://127.0.0.1:1/")).Status);
        Assert.Equal(HttpStatusCode.ProxyAuthenticationRequired, (await AskAsync(proxy.Address.Replace("rclone:", "rclone:x", StringComparison.Ordinal), offer.Address)).Status);
        Assert.Equal((HttpStatusCode.OK, "there"), await AskAsync(proxy.Address, offer.Address));
        // Each content is there once.
        Assert.Equal(HttpStatusCode.NotFound, (await AskAsync(proxy.Address, offer.Address)).Status);

        static async Task<(HttpStatusCode Status, string Text)> AskAsync(string proxy, string address)
        {
            var url = new Uri(proxy);
            var user = url.UserInfo.Split(':');
            using var http = new HttpClient(new SocketsHttpHandler { Proxy = new WebProxy($"http://{url.Authority}", false) { Credentials = new NetworkCredential(user[0], user[1]) }, PreAuthenticate = true });
            using var request = new HttpRequestMessage(HttpMethod.Get, address) { Headers = { { "Proxy-Authorization", $"Basic {Convert.ToBase64String(Encoding.ASCII.GetBytes(url.UserInfo))}" } } };
            using var answer = await http.SendAsync(request, Ct);
            return (answer.StatusCode, await answer.Content.ReadAsStringAsync(Ct));
        }
    }

    [Theory, InlineData("CONNECT {0} HTTP/1.1"), InlineData("GET http://{0}/ HTTP/1.1")]
    public async Task The_proxy_keeps_nothing_open_for_who_has_left_however_silent_the_server(string request)
    {
        using var proxy = new GuardedProxy();
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var url = new Uri(proxy.Address);
        using (var client = new TcpClient())
        {
            await client.ConnectAsync(IPAddress.Loopback, url.Port, Ct);
            var first = string.Format(CultureInfo.InvariantCulture, request, silent.LocalEndpoint);
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"{first}\r\nProxy-Authorization: Basic {Convert.ToBase64String(Encoding.ASCII.GetBytes(url.UserInfo))}\r\n\r\n"), Ct);
            using var server = await silent.AcceptTcpClientAsync(Ct);
            Assert.Equal(1, proxy.OpenCount);
            client.Close();
            await Eventually.HoldsAsync("nothing is open", () => proxy.OpenCount == 0);
        }
    }

    private sealed class OneByOne(byte[] content) : ReadOnlyStream
    {
        private int _position;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_position == content.Length || buffer.IsEmpty) return new(0);
            buffer.Span[0] = content[_position++];
            return new(1);
        }
    }
}
