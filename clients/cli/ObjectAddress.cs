namespace DarkStorage.Cli;

/// <summary>A bucket, and a key or the beginning of one.</summary>
internal sealed record ObjectAddress(string Bucket, string Key)
{
    private static readonly string[] Schemes = ["darkstorage://", "s3://"];

    /// <summary>Whether a text is meant to be one, right or wrong. Anything else is a path.</summary>
    public static bool IsOne(string text) => Array.Exists(Schemes, s => text.StartsWith(s, StringComparison.Ordinal));

    /// <exception cref="UsageException">It is none.</exception>
    public static ObjectAddress Parse(string text)
    {
        var scheme = Array.Find(Schemes, s => text.StartsWith(s, StringComparison.Ordinal)) ?? throw new UsageException($"'{text}' is no {Schemes[0]}BUCKET/KEY.");
        var rest = text[scheme.Length..];
        var slash = rest.IndexOf('/', StringComparison.Ordinal);
        var bucket = slash < 0 ? rest : rest[..slash];
        return bucket.Length > 0 ? new(bucket, slash < 0 ? "" : rest[(slash + 1)..]) : throw new UsageException($"'{text}' names no bucket: {Schemes[0]}BUCKET/KEY.");
    }

    /// <summary>A bucket, or what is below a prefix in it: an address, or a bucket's bare name where no path could be meant.</summary>
    /// <exception cref="UsageException">It is none.</exception>
    public static ObjectAddress ParseScope(string text) => Parse(IsOne(text) ? text : Schemes[0] + text);

    /// <summary>The name of a bucket, which is said as itself or as an address.</summary>
    /// <exception cref="UsageException">It is none; it is an address of what is in one.</exception>
    public static string ParseBucket(string text)
    {
        var scope = ParseScope(text);
        return scope.Key.Length == 0 ? scope.Bucket : throw new UsageException($"'{scope}' is not a whole bucket; that is {Schemes[0]}{scope.Bucket}.");
    }

    /// <summary>The object that a copy makes here: an address that ends with a slash, or is a bucket, is a folder.</summary>
    /// <param name="name">What the copied thing is called.</param>
    public ObjectAddress For(string name) => Key.Length == 0 || Key.EndsWith('/') ? this with { Key = Key + name } : this;

    public override string ToString() => $"{Schemes[0]}{Bucket}/{Key}";
}
