using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>The keys that signatures are made with, derived from a secret for one day and region.</summary>
internal sealed class SigningKeyCache
{
    /// <summary>Deriving costs two microseconds, so losing all of them now and then costs less than keeping track of which are old.</summary>
    private const int CountMax = 4096;

    private readonly ConcurrentDictionary<(string AccessKeyId, string Date, string Region), (string Secret, byte[] Key)> _keys = new();

    /// <param name="date"><c>20130524</c>.</param>
    public byte[] Get(string accessKeyId, string secret, string date, string region)
    {
        var name = (accessKeyId, date, region);
        if (_keys.TryGetValue(name, out var known) && known.Secret == secret) return known.Key;
        if (_keys.Count >= CountMax) _keys.Clear();
        var key = Derive(secret, date, region);
        _keys[name] = (secret, key);
        return key;
    }

    public static byte[] Derive(string secret, string date, string region)
    {
        Span<byte> hash = stackalloc byte[32];
        HMACSHA256.HashData(Encoding.UTF8.GetBytes("AWS4" + secret), Encoding.ASCII.GetBytes(date), hash);
        HMACSHA256.HashData(hash, Encoding.UTF8.GetBytes(region), hash);
        HMACSHA256.HashData(hash, "s3"u8, hash);
        return HMACSHA256.HashData(hash, "aws4_request"u8);
    }
}
