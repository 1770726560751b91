using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>The keys that signatures are made with, derived from a secret for one day, region and service.</summary>
internal sealed class SigningKeyCache
{
    /// <summary>Deriving costs two microseconds, so losing all of them now and then costs less than keeping track of which are old.</summary>
    private const int CountMax = 4096;

    private readonly ConcurrentDictionary<(string AccessKeyId, string Date, string Region, string Service), (string Secret, byte[] Key)> _keys = new();

    /// <param name="date"><c>20130524</c>.</param>
    /// <param name="service"><c>s3</c>, <c>sts</c>.</param>
    public byte[] Get(string accessKeyId, string secret, string date, string region, string service)
    {
        var name = (accessKeyId, date, region, service);
        if (_keys.TryGetValue(name, out var known) && known.Secret == secret) return known.Key;
        if (_keys.Count >= CountMax) _keys.Clear();
        var key = Derive(secret, date, region, service);
        _keys[name] = (secret, key);
        return key;
    }

    private static byte[] Derive(string secret, string date, string region, string service)
    {
        Span<byte> hash = stackalloc byte[32];
        HMACSHA256.HashData(Encoding.UTF8.GetBytes("AWS4" + secret), Encoding.ASCII.GetBytes(date), hash);
        HMACSHA256.HashData(hash, Encoding.UTF8.GetBytes(region), hash);
        HMACSHA256.HashData(hash, Encoding.ASCII.GetBytes(service), hash);
        return HMACSHA256.HashData(hash, "aws4_request"u8);
    }
}
