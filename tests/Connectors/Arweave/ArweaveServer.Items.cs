using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Data items as ANS-104 and arbundles describe them: parsed, and their signatures verified.</summary>
public sealed partial class ArweaveServer
{
    private const int KeyBytes = 512;

    /// <exception cref="FormatException">It is none.</exception>
    private static StoredItem Parse(byte[] item)
    {
        var at = 0;
        if (BinaryPrimitives.ReadInt16LittleEndian(Next(2)) != 1) throw new FormatException("Another type of signature.");
        var (signature, owner) = (Next(KeyBytes), Next(KeyBytes));
        var (target, anchor) = (Optional(), Optional());
        var (count, length) = (BinaryPrimitives.ReadInt64LittleEndian(Next(8)), BinaryPrimitives.ReadInt64LittleEndian(Next(8)));
        if (length is < 0 or > 4096) throw new FormatException("More than 4,096 bytes of tags.");
        var tagBytes = Next((int)length);
        var tags = ParseTags(tagBytes);
        if (tags.Count != count || count > 128) throw new FormatException("Another number of tags.");
        var data = item[at..];
        if (data.Length == 0) throw new FormatException("There is no data.");
        using var key = RSA.Create();
        key.ImportParameters(new() { Modulus = owner, Exponent = [1, 0, 1] });
        object[] message = ["dataitem"u8.ToArray(), "1"u8.ToArray(), "1"u8.ToArray(), owner, target, anchor, tagBytes, data];
        if (!key.VerifyData(DeepHashOf(message), signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pss)) throw new FormatException("Another signature.");
        return new(Base64Url.EncodeToString(SHA256.HashData(signature)), Base64Url.EncodeToString(SHA256.HashData(owner)), tags, data, Base64Url.EncodeToString(SHA256.HashData(data)));

        byte[] Next(int bytes)
        {
            if (bytes > item.Length - at) throw new FormatException("It is cut off.");
            at += bytes;
            return item[(at - bytes)..at];
        }

        byte[] Optional() => Next(1)[0] switch { 0 => [], 1 => Next(32), _ => throw new FormatException("A flag is neither 0 nor 1.") };
    }

    /// <summary>Avro's array of records of two byte strings, in any number of blocks.</summary>
    private static List<(string Name, string Value)> ParseTags(byte[] bytes)
    {
        var tags = new List<(string, string)>();
        var utf8 = new UTF8Encoding(false, throwOnInvalidBytes: true);
        var at = 0;
        for (long count; bytes.Length > 0 && (count = Number()) != 0;)
        {
            if (count < 0)
            {
                count = -count;
                _ = Number();
            }
            for (; count > 0; count--) tags.Add((Text(1024), Text(3072)));
        }
        if (at != bytes.Length) throw new FormatException("There is something behind the tags.");
        return tags;

        long Number()
        {
            ulong raw = 0;
            for (var shift = 0; ; shift += 7)
            {
                if (at == bytes.Length || shift > 63) throw new FormatException("A number is cut off.");
                raw |= (ulong)(bytes[at] & 0x7F) << shift;
                if (bytes[at++] < 0x80) return (long)(raw >> 1) ^ -(long)(raw & 1);
            }
        }

        string Text(int max)
        {
            var length = Number();
            if (length < 1 || length > max || length > bytes.Length - at) throw new FormatException("A tag is empty or too long.");
            at += (int)length;
            return utf8.GetString(bytes, at - (int)length, (int)length);
        }
    }

    private static byte[] DeepHashOf(object what)
    {
        if (what is byte[] blob) return SHA384.HashData(Joined(SHA384.HashData(Encoding.ASCII.GetBytes("blob" + blob.Length)), SHA384.HashData(blob)));
        var list = (object[])what;
        var hash = SHA384.HashData(Encoding.ASCII.GetBytes("list" + list.Length));
        foreach (var each in list) hash = SHA384.HashData(Joined(hash, DeepHashOf(each)));
        return hash;

        static byte[] Joined(byte[] one, byte[] other) => [.. one, .. other];
    }
}
