using System.CommandLine;
using System.Globalization;
using System.Net;
using DarkStorage.Metadata.Postgres;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Silo.Configuration;

/// <summary>Turns flags, environment and appsettings.json into <see cref="NodeOptions"/>: a flag beats the environment, the environment beats the file.</summary>
internal static class CommandLine
{
    /// <summary>What the shell gets for a wrong flag or setting.</summary>
    public const int UsageExitCode = 2;

    private const string EnvironmentPrefix = "DARKSTORAGE_";

    private static readonly Option<string> Data = Flag("--data", "DIR", "Folder of everything the node keeps (default ./data)");
    private static readonly Option<string> S3Url = Flag("--s3-url", "URL", "Where S3 clients come in (default http://127.0.0.1:9000)");
    private static readonly Option<string> ManagementUrl = Flag("--management-url", "URL", "Health, metrics and admin API (default http://127.0.0.1:9001)");
    private static readonly Option<string> Index = Flag("--index", "URL", "Object index: sqlite, or postgres://HOST:PORT/DATABASE (default: SQLite in the data folder)");
    private static readonly Option<string> Node = Flag("--node", "NAME", "This node's name (default: the machine's)");
    private static readonly Option<string> PeerUrl = Flag("--peer-url", "URL", "Where other nodes of the cluster find this one (default https://127.0.0.1:9002; silos call it one port on)");
    private static readonly Option<string> Zone = Flag("--zone", "NAME", "What fails together with this node (default: its name)");
    private static readonly Option<string> Roles = Flag("--roles", "storage|gateway", "Whether the node keeps data (default storage)");
    private static readonly Option<string> Region = Flag("--region", "NAME", "Region that signatures name (default us-east-1)");
    private static readonly Option<string> Domain = Flag("--domain", "NAME", "Base domain of virtual-host style requests (default: path style alone)");
    private static readonly Option<string> WebsiteDomain = Flag("--website-domain", "NAMES", "Domains of websites, with commas between (default: no websites)");
    private static readonly Option<string> Format = Flag("--log-format", "text|json", "How log lines look (default text)");
    private static readonly Option<string> Level = Flag("--log-level", "LEVEL", "Trace, Debug, Information, Warning, Error (default Information)");

    private static readonly Option<string>[] Flags = [Data, S3Url, ManagementUrl, Index, Node, PeerUrl, Zone, Roles, Region, Domain, WebsiteDomain, Format, Level];

    /// <param name="options">The node's options; null where the program has nothing more to do.</param>
    /// <returns>The exit code where <paramref name="options"/> is null.</returns>
    public static int Parse(string[] arguments, TextWriter output, TextWriter error, out NodeOptions? options)
    {
        options = null;
        var root = new RootCommand("An S3-compatible storage node. Root credentials come from DARKSTORAGE_ROOT_ACCESS_KEY and DARKSTORAGE_ROOT_SECRET_KEY, or are made at first start.");
        foreach (var flag in Flags) root.Options.Add(flag);
        var rotate = new Command("rotate-master-key", "Makes a new master key for a node that is stopped; older ones still open what they sealed.");
        rotate.Options.Add(Data);
        rotate.SetAction((parsed, ct) => MasterKeyRotation.RunAsync(Path.GetFullPath(Text(parsed, LoadConfiguration(), Data, new NodeOptions().Data)), output, error, ct));
        root.Subcommands.Add(rotate);
        root.SetAction(static _ => 0);      // without one, System.CommandLine wants a verb
        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0) return Refuse(error, $"{parsed.Errors[0].Message} Allowed are {string.Join(", ", Flags.Select(f => f.Name))}, --help, --version.");
        if (!ReferenceEquals(parsed.Action, root.Action)) return parsed.Invoke(new() { Output = output, Error = error });
        try
        {
            options = Read(parsed, LoadConfiguration());
            return 0;
        }
        catch (FormatException e)
        {
            return Refuse(error, e.Message);
        }
    }

    private static int Refuse(TextWriter error, string message)
    {
        error.WriteLine($"darkstorage-silo: {message}");
        return UsageExitCode;
    }

    private static NodeOptions Read(ParseResult parsed, IConfiguration configuration)
    {
        var defaults = new NodeOptions();
        return new()
        {
            Data = Path.GetFullPath(Text(Data, defaults.Data)),
            S3Url = Url(S3Url, defaults.S3Url),
            ManagementUrl = Url(ManagementUrl, defaults.ManagementUrl),
            Index = IndexUrl(Text(Index, defaults.Index)),
            Node = Text(Node, defaults.Node),
            PeerUrl = PeerAddress(),
            Zone = Text(Zone, "") is { Length: > 0 } zone ? zone : Text(Node, defaults.Node),
            HasDrive = Text(Roles, "storage") switch
            {
                "storage" => true,
                "gateway" => false,
                var other => throw new FormatException($"--roles is '{other}'; allowed are storage and gateway."),
            },
            Region = Text(Region, defaults.Region),
            Domain = Text(Domain, defaults.Domain),
            WebsiteDomain = Text(WebsiteDomain, defaults.WebsiteDomain),
            LogFormat = Choice<LogFormat>(Format, defaults.LogFormat),
            LogLevel = Choice<LogLevel>(Level, defaults.LogLevel),
        };

        string Text(Option<string> flag, string otherwise) => CommandLine.Text(parsed, configuration, flag, otherwise);

        Uri PeerAddress()
        {
            var url = Url(PeerUrl, defaults.PeerUrl, "https");
            if (IPAddress.TryParse(url.Host.Trim('[', ']'), out var address) && (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)))
                throw new FormatException($"{PeerUrl.Name} is '{url.OriginalString}'; it is what other nodes find this one by, so it names one address.");
            // A port that goes without saying is one that two nodes would read differently: its silo is one port on.
            if (!url.OriginalString.TrimEnd('/').EndsWith(string.Create(CultureInfo.InvariantCulture, $":{url.Port}"), StringComparison.Ordinal))
                throw new FormatException($"{PeerUrl.Name} is '{url.OriginalString}'; it has to name the port: https://HOST:PORT.");
            return url;
        }

        Uri Url(Option<string> flag, Uri otherwise, string scheme = "http")
        {
            var text = Text(flag, otherwise.OriginalString);
            if (Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme == scheme && url.AbsolutePath == "/" && url.Query.Length == 0) return url;
            throw new FormatException($"{flag.Name} is '{text}'; allowed is {scheme}://HOST:PORT.");
        }

        T Choice<T>(Option<string> flag, T otherwise) where T : struct, Enum
        {
            var text = Text(flag, otherwise.ToString());
            if (Enum.TryParse<T>(text, ignoreCase: true, out var value) && Enum.IsDefined(value) && !int.TryParse(text, CultureInfo.InvariantCulture, out _)) return value;
            throw new FormatException($"{flag.Name} is '{text}'; allowed are {string.Join(", ", Enum.GetNames<T>())}.");
        }
    }

    private static string Text(ParseResult parsed, IConfiguration configuration, Option<string> flag, string otherwise) =>
        parsed.GetValue(flag) ?? Environment.GetEnvironmentVariable(EnvironmentName(flag)) ?? configuration[SettingName(flag)] ?? otherwise;

    /// <returns>Empty for SQLite.</returns>
    private static string IndexUrl(string text)
    {
        if (text.Length == 0 || text == "sqlite") return "";
        if (!PostgresUrl.IsOne(text)) throw new FormatException($"--index is '{text}'; allowed are sqlite and postgres://USER:PASSWORD@HOST:PORT/DATABASE.");
        try
        {
            PostgresUrl.Parse(text);
            return text;
        }
        catch (FormatException e)
        {
            throw new FormatException($"--index: {e.Message}", e);
        }
    }

    private static IConfigurationRoot LoadConfiguration() =>
        new ConfigurationBuilder().SetBasePath(AppContext.BaseDirectory).AddJsonFile("appsettings.json", optional: true).Build();

    private static Option<string> Flag(string name, string value, string description) => new(name) { HelpName = value, Description = description };

    /// <summary><c>--s3-url</c> is <c>DARKSTORAGE_S3_URL</c>.</summary>
    private static string EnvironmentName(Option<string> flag) => EnvironmentPrefix + flag.Name[2..].Replace('-', '_').ToUpperInvariant();

    /// <summary><c>--s3-url</c> is <c>S3Url</c>.</summary>
    private static string SettingName(Option<string> flag) => flag.Name[2..].Replace("-", "", StringComparison.Ordinal);
}
