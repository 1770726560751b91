using System.Globalization;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

/// <summary>Where the database is: <c>postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?sslmode=verify-full</c>, as libpq has it (PostgreSQL documentation, 34.1.1.2).</summary>
/// <remarks>Several hosts are a primary and its standbys: whichever takes writes is used. A password that is left out is taken from <c>PGPASSWORD</c> or the password file, as libpq does.</remarks>
public sealed class PostgresUrl
{
    private const int DefaultPort = 5432;
    private const int HostsMax = 16;

    private PostgresUrl(NpgsqlConnectionStringBuilder settings) => Settings = settings;

    /// <summary>Holds the password: not to be logged.</summary>
    internal NpgsqlConnectionStringBuilder Settings { get; }

    /// <summary>For the packages that take one. Of several hosts it asks for the one that takes writes. Holds the password: not to be logged.</summary>
    public string ConnectionString => Settings.Host!.Contains(',', StringComparison.Ordinal)
        ? new NpgsqlConnectionStringBuilder(Settings.ConnectionString) { TargetSessionAttributes = "read-write" }.ConnectionString
        : Settings.ConnectionString;

    public static bool IsOne(string text) => text.StartsWith("postgres://", StringComparison.Ordinal) || text.StartsWith("postgresql://", StringComparison.Ordinal);

    /// <exception cref="FormatException">Says what is wrong, without the password.</exception>
    public static PostgresUrl Parse(string text)
    {
        if (!IsOne(text)) throw new FormatException("An index in PostgreSQL is named postgres://USER:PASSWORD@HOST:PORT/DATABASE.");
        var rest = text[(text.IndexOf("://", StringComparison.Ordinal) + 3)..];
        var settings = new NpgsqlConnectionStringBuilder();
        if (rest.IndexOf('?', StringComparison.Ordinal) is >= 0 and var query)
        {
            foreach (var pair in rest[(query + 1)..].Split('&', StringSplitOptions.RemoveEmptyEntries)) ReadParameter(settings, pair);
            rest = rest[..query];
        }
        if (rest.LastIndexOf('@') is >= 0 and var at)
        {
            var colon = rest.IndexOf(':', StringComparison.Ordinal);
            settings.Username = Uri.UnescapeDataString(rest[..(colon >= 0 && colon < at ? colon : at)]);
            if (colon >= 0 && colon < at) settings.Password = Uri.UnescapeDataString(rest[(colon + 1)..at]);
            rest = rest[(at + 1)..];
        }
        var slash = rest.IndexOf('/', StringComparison.Ordinal);
        settings.Database = slash < 0 ? "" : Uri.UnescapeDataString(rest[(slash + 1)..]);
        if (settings.Database.Length == 0) throw new FormatException("The URL of the index names no database: postgres://USER:PASSWORD@HOST:PORT/DATABASE.");
        settings.Host = ReadHosts(rest[..slash]);
        return new(settings);
    }

    /// <summary>Without the password.</summary>
    public override string ToString() => $"postgres://{Settings.Host}/{Settings.Database}";

    private static string ReadHosts(string text)
    {
        var hosts = text.Split(',');
        if (hosts.Length > HostsMax) throw new FormatException($"The URL of the index names {hosts.Length} hosts; allowed are {HostsMax}.");
        return string.Join(',', hosts.Select(host =>
        {
            var colon = host.LastIndexOf(':');
            var hasPort = colon > host.LastIndexOf(']');
            var name = hasPort ? host[..colon] : host;
            var port = DefaultPort;
            if (name.Length == 0 || (hasPort && !int.TryParse(host.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)) || port is 0 or > ushort.MaxValue)
                throw new FormatException($"'{host}' in the URL of the index is not HOST:PORT.");
            return $"{name}:{port.ToString(CultureInfo.InvariantCulture)}";
        }));
    }

    private static void ReadParameter(NpgsqlConnectionStringBuilder settings, string pair)
    {
        var equals = pair.IndexOf('=', StringComparison.Ordinal);
        var (name, value) = equals < 0 ? (pair, "") : (pair[..equals], Uri.UnescapeDataString(pair[(equals + 1)..]));
        switch (name)
        {
            case "sslmode":
                settings.SslMode = value switch
                {
                    "disable" => SslMode.Disable,
                    "allow" => SslMode.Allow,
                    "prefer" => SslMode.Prefer,
                    "require" => SslMode.Require,
                    "verify-ca" => SslMode.VerifyCA,
                    "verify-full" => SslMode.VerifyFull,
                    _ => throw new FormatException($"sslmode in the URL of the index is '{value}'; allowed are disable, allow, prefer, require, verify-ca, verify-full."),
                };
                break;
            case "sslrootcert":
                settings.RootCertificate = value;
                break;
            case "sslcert":
                settings.SslCertificate = value;
                break;
            case "sslkey":
                settings.SslKey = value;
                break;
            default:
                throw new FormatException($"'{name}' in the URL of the index is not known; allowed are sslmode, sslrootcert, sslcert, sslkey.");
        }
    }
}
