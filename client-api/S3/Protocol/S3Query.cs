using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>The query of a request, decoded, in its order, duplicates and all. Names are compared exactly, as S3 does.</summary>
internal readonly struct S3Query
{
    /// <summary>More parameters than any S3 request has.</summary>
    public const int CountMax = 128;

    public static readonly S3Query Empty = new([]);

    private readonly KeyValuePair<string, string>[] _parameters;

    private S3Query(KeyValuePair<string, string>[] parameters) => _parameters = parameters;

    public ReadOnlySpan<KeyValuePair<string, string>> Parameters => _parameters;

    /// <summary>Whether a parameter is there, with or without a value: <c>?acl</c>, <c>?acl=</c>.</summary>
    public bool Has(string name) => TryGet(name, out _);

    /// <summary>The first value of a parameter; empty where it has none.</summary>
    public bool TryGet(string name, out string value)
    {
        foreach (var parameter in Parameters)
            if (parameter.Key == name)
            {
                value = parameter.Value;
                return true;
            }
        value = "";
        return false;
    }

    /// <returns>Null where the parameter is not there.</returns>
    public string? Find(string name) => TryGet(name, out var value) ? value : null;

    /// <summary>Reads what follows the question mark. <c>+</c> is a space, as S3 takes it; empty pieces are skipped.</summary>
    /// <exception cref="S3Exception"><c>InvalidURI</c>: a malformed escape, bytes that are not UTF-8, or too many parameters.</exception>
    public static S3Query Parse(ReadOnlySpan<char> raw)
    {
        if (raw.IsEmpty) return Empty;
        var count = 0;
        foreach (var piece in raw.Split('&'))
            if (!raw[piece].IsEmpty && ++count > CountMax) throw new S3Exception(S3Error.InvalidUri, $"The request has more than {CountMax} query parameters.");

        var parameters = new KeyValuePair<string, string>[count];
        Span<byte> scratch = raw.Length <= 1024 ? stackalloc byte[1024] : new byte[raw.Length];
        count = 0;
        foreach (var piece in raw.Split('&'))
        {
            var parameter = raw[piece];
            if (parameter.IsEmpty) continue;
            var equals = parameter.IndexOf('=');
            var name = equals < 0 ? parameter : parameter[..equals];
            var value = equals < 0 ? default : parameter[(equals + 1)..];
            parameters[count++] = new(Decode(name, scratch), Decode(value, scratch));
        }
        return new(parameters);
    }

    private static string Decode(ReadOnlySpan<char> text, Span<byte> scratch)
    {
        if (text.IsEmpty) return "";
        var length = S3UrlEncoding.Decode(text, scratch, plusIsSpace: true);
        if (length < 0 || !System.Text.Unicode.Utf8.IsValid(scratch[..length])) throw new S3Exception(S3Error.InvalidUri);
        return Encoding.UTF8.GetString(scratch[..length]);
    }
}
