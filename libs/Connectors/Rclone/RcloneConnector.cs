using System.Collections.Immutable;
using System.Text.Json;
using System.Text.RegularExpressions;
using DarkStorage.Connectors.OAuth;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>What the places behind rclone have to be told, the well-known ones, and how one is opened.</summary>
internal static partial class RcloneConnector
{
    private const string RemoteType = "remote-type";
    private const string PathField = "path";
    private const string Host = "host";
    private const string Port = "port";
    private const string Url = "url";
    private const string User = "user";
    private const string Password = "password";
    private const string Key = "key";
    private const string KeyPassphrase = "key-passphrase";
    private const string HostKeys = "host-keys";
    private const string Vendor = "vendor";
    private const string Token = "token";
    private const string ClientId = OAuthService.ClientId;
    private const string ClientSecret = OAuthService.ClientSecret;
    private const string Options = "options";

    /// <summary>A shorter text than this is everywhere, and hiding it would hide nothing but sense.</summary>
    private const int SecretLengthMin = 4;

    private const int OptionsMax = 100;

    private const string OwnClient = "client-id and client-secret of an app of one's own, and then integrations authorize";

    /// <summary>Backends of rclone that keep files outside and can move or copy one there. None that wraps another, reads this machine's files (local, alias, crypt, union, combine, chunker, compress, cache, hasher), keeps nothing (memory), can't be written to, or may have two files of one name (drive, mega): each node could find another one. Nor any that spools what it is given to this machine's drive (jottacloud, pikpak).</summary>
    private static readonly ImmutableArray<RcloneKind> Kinds =
    [
        new("sftp", Map((Host, "host"), (Port, "port"), (User, "user"), (Password, "pass"), (Key, "key_pem"), (KeyPassphrase, "key_file_pass"), (HostKeys, "known_hosts_file"))) { Needs = [Host, User], Defaults = Map(("skip_links", "true")), RemovesEmptyFoldersOnly = true },
        new("ftp", Map((Host, "host"), (Port, "port"), (User, "user"), (Password, "pass"))) { Needs = [Host], RemovesEmptyFoldersOnly = true },
        new("webdav", Map((Url, "url"), (User, "user"), (Password, "pass"), (Vendor, "vendor"), (Token, "bearer_token"))) { Needs = [Url], Defaults = Map(("vendor", "other")) },
        new("smb", Map((Host, "host"), (Port, "port"), (User, "user"), (Password, "pass"))) { Needs = [Host, PathField], RemovesEmptyFoldersOnly = true },
        // Parts of uploads are held in memory: smaller than rclone's own 48 and 96 MiB.
        OAuth("dropbox") with { Defaults = Map(("chunk_size", "16Mi"), ("batch_mode", "off")) },
        new("b2", Map()) { Defaults = Map(("chunk_size", "16Mi")) },
        OAuth("box"), OAuth("onedrive"), OAuth("pcloud"), OAuth("yandex"), OAuth("hidrive"), OAuth("zoho"), OAuth("putio"), OAuth("premiumizeme"), OAuth("sharefile"),
        new("koofr", Map((User, "user"), (Password, "password"))), new("mailru", Map((User, "user"), (Password, "pass"))), new("protondrive", Map((User, "username"), (Password, "password"))),
        new("seafile", Map((Url, "url"), (User, "user"), (Password, "pass"))), new("opendrive", Map((User, "username"), (Password, "password"))),
        new("storj", Map()), new("azureblob", Map()), new("azurefiles", Map()), new("filefabric", Map((Url, "url"))), new("internetarchive", Map()), new("qingstor", Map()), new("quatrix", Map()), new("s3", Map()),
        new("sugarsync", Map()), new("swift", Map()),
    ];

    /// <summary>Those that programs from before took: what is there stays readable.</summary>
    private static readonly ImmutableArray<RcloneKind> Former = [OAuth("drive"), OAuth("jottacloud"), new("mega", Map((User, "user"), (Password, "pass"))), new("pikpak", Map((User, "user"), (Password, "pass")))];

    private static readonly ConnectorType Type = new("rclone", "SFTP, FTP, WebDAV, SMB, Dropbox, OneDrive and others", "What rclone can reach. It has to be installed on every node (Debian, Ubuntu: apt install rclone).",
    [
        new(RemoteType, "Which of rclone's backends.", ConnectorFieldKind.Choice, IsRequired: true, Choices: [.. Kinds.Select(k => k.Name).Order(StringComparer.Ordinal)], IsPlace: true),
        new(PathField, "Where the blobs are there: a folder, or for places with buckets or shares one of these and a folder in it. It is made where it is missing, and best has nothing else in it.", IsPlace: true),
        new(Host, "The server's name or address, for sftp, ftp and smb.", IsPlace: true),
        new(Port, "The server's port, where it is not the usual one.", ConnectorFieldKind.Number, Min: 1, Max: 65535, IsPlace: true),
        new(Url, "The server's address, for webdav and what else is reached by one.", ConnectorFieldKind.Url, IsPlace: true),
        new(User, "Who signs in.", IsPlace: true),
        new(Password, "The user's password, as it is.", ConnectorFieldKind.Secret),
        new(Key, "For sftp: the user's private key, the whole text of its file (PEM or OpenSSH).", ConnectorFieldKind.Secret),
        new(KeyPassphrase, "What the private key's file is encrypted with.", ConnectorFieldKind.Secret),
        new(HostKeys, "For sftp: the server's keys, lines as ssh-keyscan prints them and known_hosts has them. Any server is believed where nothing is said.", ConnectorFieldKind.Secret),
        new(Vendor, "For webdav: whose server it is.", ConnectorFieldKind.Choice, Choices: ["nextcloud", "owncloud", "sharepoint", "sharepoint-ntlm", "other"]),
        new(Token, "What 'rclone authorize' prints for the place: JSON, as it is. For webdav: a bearer token.", ConnectorFieldKind.Secret),
        new(ClientId, "An OAuth client of one's own. Without a token, it asks for access by itself (integrations authorize); with one, it is the client that the token was given to: rclone's where nothing is said, which all of its users share and which may be slow."),
        new(ClientSecret, "The secret of that client.", ConnectorFieldKind.Secret),
        .. OAuthFields.Addresses,
        new(Options, "Other options of rclone's backend (rclone help backend NAME, the names of its config file): name=value, a line for each. Secrets are given as they are, and rclone obscures them.", ConnectorFieldKind.Secret),
    ],
    [
        Preset("sftp", "SFTP", "Needs host, user, path, and password or key; give host-keys too.", "sftp"),
        Preset("ftp", "FTP", "Needs host, user, password, path. The password and all content go unencrypted, but with the options explicit_tls=true or tls=true.", "ftp"),
        Preset("webdav", "WebDAV", "Needs url, user, password.", "webdav", (Vendor, "other")),
        Preset("nextcloud", "Nextcloud", "Needs url (https://HOST/remote.php/dav/files/USER), user, and an app password.", "webdav", (Vendor, "nextcloud")),
        Preset("owncloud", "ownCloud", "Needs url (https://HOST/remote.php/dav/files/USER), user, and an app password.", "webdav", (Vendor, "owncloud")),
        Preset("smb", "Windows share (SMB)", "Needs host, user, password, and path: SHARE/FOLDER. The option domain says whose user.", "smb"),
        Preset("dropbox", "Dropbox", $"Needs {OwnClient}; or token: rclone authorize dropbox.", "dropbox"),
        Preset("box", "Box", $"Needs {OwnClient}; or token: rclone authorize box, of which one node alone can make use.", "box"),
        Preset("onedrive", "OneDrive and SharePoint", $"Needs {OwnClient}, or token (rclone authorize onedrive); and the options drive_id and drive_type, as 'rclone config' finds them.", "onedrive"),
        Preset("pcloud", "pCloud", "Needs token: rclone authorize pcloud.", "pcloud"),
        Preset("storj", "Storj", "Needs path (BUCKET/FOLDER) and the option access_grant. Debian's rclone has no storj; rclone's own has.", "storj"),
    ])
    {
        OAuth =
        [
            Service("dropbox", "Dropbox", "https://www.dropbox.com/oauth2/authorize", "https://api.dropboxapi.com/oauth2/token") with { Parameters = Map(("token_access_type", "offline")) },
            Service("box", "Box", "https://account.box.com/api/oauth2/authorize", "https://api.box.com/oauth2/token") with { UsesPkce = false },
            Service("onedrive", "Microsoft", "https://login.microsoftonline.com/common/oauth2/v2.0/authorize", "https://login.microsoftonline.com/common/oauth2/v2.0/token") with
            {
                DeviceUrl = "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
                Scope = "Files.ReadWrite.All Sites.Read.All offline_access",
            },
            Service("yandex", "Yandex", "https://oauth.yandex.com/authorize", "https://oauth.yandex.com/token") with { DeviceUrl = "https://oauth.yandex.com/device/code" },
            .. new[] { "pcloud", "hidrive", "putio", "premiumizeme", "sharefile" }.Select(name => Service(name, name, null, null)),
        ],
    };

    /// <summary>The connector of one node, with its rclone.</summary>
    public static Connector On(RcloneProgram program) => new(Type, (settings, clock) => new RcloneBackend(program, RemoteOf(settings), clock))
    {
        OpenAuthorized = (settings, tokens, clock) => new RcloneBackend(program, RemoteOf(settings), clock, tokens),
    };

    public static RcloneRemote RemoteOf(IReadOnlyDictionary<string, string> settings)
    {
        var kind = Kinds.Concat(Former).FirstOrDefault(k => k.Name == settings[RemoteType]) ?? throw ConnectorType.Invalid($"{RemoteType}: {settings[RemoteType]} is none that this program knows.");
        foreach (var field in kind.Needs)
        {
            if (!settings.ContainsKey(field)) throw ConnectorType.Invalid($"{kind.Name} needs {field}.");
        }
        var parameters = kind.Defaults.ToBuilder();
        foreach (var field in new[] { Host, Port, Url, User, Password, Key, KeyPassphrase, HostKeys, Vendor, Token, ClientId, ClientSecret })
        {
            if (!settings.TryGetValue(field, out var value)) continue;
            var option = kind.Options.GetValueOrDefault(field) ?? throw ConnectorType.Invalid($"{field}: {kind.Name} has none. It has {string.Join(", ", kind.Options.Keys.Append(Options))}.");
            // Who asks for access renews it, and rclone does not.
            if (field is ClientId or ClientSecret && Type.OAuth.Any(s => s.IsFor(settings))) continue;
            if (field != HostKeys) parameters[option] = field == Key ? OneLine(value) : value.Trim('\r', '\n');
        }
        foreach (var field in OAuthFields.Addresses.Select(f => f.Name).Where(settings.ContainsKey))
        {
            if (!Type.OAuth.Any(s => s.When[RemoteType] == kind.Name)) throw ConnectorType.Invalid($"{field}: {kind.Name} is not authorized so.");
        }
        if (settings.TryGetValue(Host, out var host) && !HostName().IsMatch(host)) throw ConnectorType.Invalid($"{Host}: a name or an address, and nothing else.");
        AddOptions(kind, settings.GetValueOrDefault(Options, ""), parameters);
        return new(kind, RootOf(settings.GetValueOrDefault(PathField, "")), parameters.ToImmutable(), SecretsOf(settings))
        {
            Host = host,
            HostKeys = settings.TryGetValue(HostKeys, out var keys) ? keys.ReplaceLineEndings("\n").TrimEnd() + "\n" : null,
        };
    }

    private static string RootOf(string path)
    {
        // rclone takes brackets apart where it serves files, and '..' would lead elsewhere than it says.
        if (path.AsSpan().IndexOfAny('[', ']') >= 0 || path.Split('/').Contains("..")) throw ConnectorType.Invalid($"{PathField}: without brackets and without '..'.");
        return path.Length > 1 ? path.TrimEnd('/') : path;
    }

    /// <summary>None that is a field's, and none by which rclone would read or run something on this machine, or go another way out of it.</summary>
    private static void AddOptions(RcloneKind kind, string lines, ImmutableSortedDictionary<string, string>.Builder parameters)
    {
        var given = lines.Split('\n').Select(l => l.Trim()).Where(l => l.Length > 0).ToList();
        if (given.Count > OptionsMax) throw ConnectorType.Invalid($"{Options}: {OptionsMax} lines at most.");
        foreach (var line in given)
        {
            // The line may be a secret: it is not repeated.
            if (line.Split('=', 2) is not [var name, var value] || !OptionName().IsMatch(name = name.Trim())) throw ConnectorType.Invalid($"{Options}: each line is name=value, and a name has lower-case letters, digits and underscores.");
            if (kind.Options.FirstOrDefault(o => o.Value == name) is { Key: { } field }) throw ConnectorType.Invalid($"{Options}: {name} is the field {field}.");
            if (name == "type") throw ConnectorType.Invalid($"{Options}: {name} is the field {RemoteType}.");
            if ((OfThisMachine().IsMatch(name) && !IsHarmless(name)) || name is "ask_password" or "use_az") throw ConnectorType.Invalid($"{Options}: {name} is not taken: it could make rclone read, run or reach what is this machine's.");
            parameters[name] = value.Trim();
        }
    }

    /// <summary>Of how a server's paths are written, and of the options of an upload.</summary>
    private static bool IsHarmless(string name) => name is "force_path_style" or "shared_files" or "path_override";

    /// <summary>rclone wants a key on one line, as JSON would have it.</summary>
    private static string OneLine(string key) => key.ReplaceLineEndings("\n").Trim().Replace("\n", "\\n", StringComparison.Ordinal);

    private static ImmutableArray<string> SecretsOf(IReadOnlyDictionary<string, string> settings)
    {
        var secrets = new HashSet<string>(StringComparer.Ordinal);
        foreach (var field in Type.Fields.Where(f => f.Kind == ConnectorFieldKind.Secret && f.Name != HostKeys))
        {
            if (!settings.TryGetValue(field.Name, out var value)) continue;
            secrets.Add(value.Trim());
            foreach (var line in value.Split('\n', StringSplitOptions.TrimEntries))
            {
                secrets.Add(field.Name == Options ? line[(line.IndexOf('=', StringComparison.Ordinal) + 1)..].Trim() : line);
            }
            foreach (Match text in Quoted().Matches(value)) secrets.Add(text.Groups[1].Value);
        }
        return [.. secrets.SelectMany(s => new[] { s, Uri.EscapeDataString(s), JsonEncodedText.Encode(s).ToString() }).Where(s => s.Length >= SecretLengthMin && !IsPlain(s)).Distinct().OrderByDescending(s => s.Length)];
    }

    /// <summary>Words of tokens and options that are no secrets.</summary>
    private static bool IsPlain(string text) => text is "true" or "false" or "bearer" or "Bearer" or "access_token" or "token_type" or "refresh_token" or "expiry" or "personal" or "business";

    private static OAuthService Service(string remoteType, string title, string? authorizationUrl, string? tokenUrl) =>
        new(title, Map((RemoteType, remoteType)), [Token]) { AuthorizationUrl = authorizationUrl, TokenUrl = tokenUrl };

    private static RcloneKind OAuth(string name) => new(name, Map((Token, "token"), (ClientId, "client_id"), (ClientSecret, "client_secret")));

    private static ImmutableSortedDictionary<string, string> Map(params (string Name, string Value)[] values) => values.ToImmutableSortedDictionary(v => v.Name, v => v.Value, StringComparer.Ordinal);

    private static ConnectorPreset Preset(string name, string title, string help, string type, params (string Name, string Value)[] more) =>
        // Each call of a cloud drive may hold a part of an upload in memory: fewer at one time than of object stores.
        new(name, title, help, Map([(RemoteType, type), (ConnectorCatalog.CallsField, "8"), .. more]));

    [GeneratedRegex(@"^[a-z0-9_]{1,64}\z")]
    private static partial Regex OptionName();

    [GeneratedRegex(@"(^|_)(file|files|path|dir|command|ssh|agent|socket|env|msi|imds|profile|ccache|cache|config|cert|certificate|proxy|metadata_endpoint)(_|\z)")]
    private static partial Regex OfThisMachine();

    [GeneratedRegex(@"^[^\s/@\[\]]{1,255}\z")]
    private static partial Regex HostName();

    [GeneratedRegex(@"""((?:[^""\\]|\\.){8,})""")]
    private static partial Regex Quoted();
}
