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

    /// <summary>The object that a copy makes here: an address that ends with a slash, or is a bucket, is a folder.</summary>
    /// <param name="name">What the copied thing is called.</param>
    public ObjectAddress For(string name) => Key.Length == 0 || Key.EndsWith('/') ? this with { Key = Key + name } : this;

    public override string ToString() => $"{Schemes[0]}{Bucket}/{Key}";
}
