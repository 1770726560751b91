using System.Net;

namespace DarkStorage.ClientApi.S3;

/// <summary>The rules for the name of a general purpose bucket, as AWS has them.</summary>
internal static class BucketName
{
    private static readonly string[] ReservedPrefixes = ["xn--", "sthree-", "amzn-s3-demo-"];
    private static readonly string[] ReservedSuffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

    /// <exception cref="S3Exception"><c>InvalidBucketName</c>.</exception>
    public static void ThrowIfInvalid(string name)
    {
        if (!IsValid(name)) throw new S3Exception(S3Error.InvalidBucketName).With("BucketName", name);
    }

    public static bool IsValid(ReadOnlySpan<char> name)
    {
        if (name.Length is < 3 or > 63) return false;
        if (!char.IsAsciiLetterLower(name[0]) && !char.IsAsciiDigit(name[0])) return false;
        if (!char.IsAsciiLetterLower(name[^1]) && !char.IsAsciiDigit(name[^1])) return false;
        foreach (var c in name)
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('.' or '-')) return false;
        if (name.IndexOf("..") >= 0 || LooksLikeAddress(name)) return false;
        foreach (var prefix in ReservedPrefixes)
            if (name.StartsWith(prefix, StringComparison.Ordinal)) return false;
        foreach (var suffix in ReservedSuffixes)
            if (name.EndsWith(suffix, StringComparison.Ordinal)) return false;
        return true;
    }

    /// <summary>Four numbers with dots between: such a host could not be told from a bucket.</summary>
    private static bool LooksLikeAddress(ReadOnlySpan<char> name) =>
        !name.ContainsAnyInRange('a', 'z') && !name.Contains('-') && name.Count('.') == 3 && IPAddress.TryParse(name, out _);
}
