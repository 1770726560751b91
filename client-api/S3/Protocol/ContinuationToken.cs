using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Unicode;

namespace DarkStorage.ClientApi.S3;

/// <summary>Where a listing goes on, in a form that clients hand back without looking into it: base64url of a format byte and UTF-8.</summary>
internal static class ContinuationToken
{
    private const byte Format = 1;

    public static string Encode(string after)
    {
        var bytes = new byte[1 + Encoding.UTF8.GetByteCount(after)];
        bytes[0] = Format;
        Encoding.UTF8.GetBytes(after, bytes.AsSpan(1));
        return Base64Url.EncodeToString(bytes);
    }

    /// <returns>The empty text where there is no token.</returns>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>: we did not make it.</exception>
    public static string Decode(string? token)
    {
        if (string.IsNullOrEmpty(token)) return "";
        var bytes = new byte[Base64Url.GetMaxDecodedLength(Math.Min(token.Length, LengthMax))];
        if (token.Length <= LengthMax && Base64Url.DecodeFromChars(token, bytes, out _, out var length) == OperationStatus.Done
            && length > 0 && bytes[0] == Format && Utf8.IsValid(bytes.AsSpan(1, length - 1)))
        {
            return Encoding.UTF8.GetString(bytes, 1, length - 1);
        }
        throw S3Exception.InvalidArgument("The continuation token provided is incorrect", "continuation-token", token.Length <= 128 ? token : token[..128]);
    }

    /// <summary>Characters of a token at most: a key's bytes and the format byte, in base64.</summary>
    private const int LengthMax = 2 * S3Target.KeyBytesMax;
}
