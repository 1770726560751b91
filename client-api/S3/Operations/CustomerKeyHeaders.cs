using System.Net;
using System.Security.Cryptography;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>A key that the client sends with its request (SSE-C). It is in no message, log or row: what is refused is refused without repeating it.</summary>
internal static class CustomerKeyHeaders
{
    public const string OfRequest = "x-amz-server-side-encryption-customer-";

    /// <summary>The key of what a copy reads.</summary>
    public const string OfCopySource = "x-amz-copy-source-server-side-encryption-customer-";

    /// <summary>The only one there is, of SSE-S3 too.</summary>
    public const string Algorithm = "AES256";

    private const string Requests = "Requests specifying Server Side Encryption with Customer provided keys must";

    /// <summary>The key, checked against its MD5. The caller disposes it.</summary>
    /// <param name="prefix"><see cref="OfRequest"/> or <see cref="OfCopySource"/>.</param>
    /// <returns>Null where none of the three headers is there.</returns>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>, <c>InvalidEncryptionAlgorithmError</c>; <c>InvalidRequest</c>: the key came over the open network.</exception>
    public static CustomerKey? Read(S3Request s3, string prefix)
    {
        var (algorithm, key, md5) = (Text(s3, prefix + "algorithm"), Text(s3, prefix + "key"), Text(s3, prefix + "key-MD5"));
        if (algorithm is null && key is null && md5 is null) return null;
        if (algorithm is null) throw S3Exception.InvalidArgument($"{Requests} provide a valid encryption algorithm.", prefix + "algorithm", "null");
        if (algorithm != Algorithm) throw new S3Exception(S3Error.InvalidEncryptionAlgorithm).With("ArgumentName", prefix + "algorithm").With("ArgumentValue", algorithm);
        if (key is null) throw S3Exception.InvalidArgument($"{Requests} provide an appropriate secret key.", prefix + "key", "null");
        if (md5 is null) throw S3Exception.InvalidArgument($"{Requests} provide the client calculated MD5 of the secret key.", prefix + "key-MD5", "null");
        if (!s3.Http.Request.IsHttps && !s3.Options.AllowCustomerKeysOverHttp && !IsLocal(s3.Http.Connection.RemoteIpAddress))
            throw new S3Exception(S3Error.InvalidRequest, $"{Requests} be made over a secure connection.");
        return Decode(key, md5, prefix);
    }

    /// <summary>Says again what the client said of its key, having found it right.</summary>
    public static void Answer(S3Request s3)
    {
        if (Text(s3, OfRequest + "key-MD5") is not { } md5) return;
        s3.Response.Headers[OfRequest + "algorithm"] = Algorithm;
        s3.Response.Headers[OfRequest + "key-MD5"] = md5;
    }

    private static CustomerKey Decode(string key, string md5, string prefix)
    {
        Span<byte> bytes = stackalloc byte[SecretKey.Length];
        Span<byte> stated = stackalloc byte[MD5.HashSizeInBytes];
        Span<byte> computed = stackalloc byte[MD5.HashSizeInBytes];
        try
        {
            if (!ChecksumHeaders.TryDecode(key, bytes)) throw S3Exception.InvalidArgument("The secret key was invalid for the specified algorithm.", prefix + "key", "");
            MD5.HashData(bytes, computed);
            if (!ChecksumHeaders.TryDecode(md5, stated) || !CryptographicOperations.FixedTimeEquals(stated, computed))
                throw S3Exception.InvalidArgument("The calculated MD5 hash of the key did not match the hash that was provided.", prefix + "key-MD5", "");
            return new(bytes);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(bytes);
            CryptographicOperations.ZeroMemory(computed);
        }
    }

    /// <summary>A connection from this machine has left it on no wire: a client here, or a proxy here that ended the TLS.</summary>
    private static bool IsLocal(IPAddress? address) => address is not null && IPAddress.IsLoopback(address);

    private static string? Text(S3Request s3, string name) => s3.Headers.TryGetValue(name, out var value) ? value.ToString() : null;
}
