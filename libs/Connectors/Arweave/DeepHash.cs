using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Arweave's deep hash of a list of blobs, with SHA-384: what is signed. Of a blob no more is needed than its length and its hash, so long ones are never in memory.</summary>
internal sealed class DeepHash
{
    private byte[] _hash;

    /// <param name="count">Of the blobs that will be added.</param>
    public DeepHash(int count) => _hash = SHA384.HashData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"list{count}")));

    public DeepHash Add(ReadOnlySpan<byte> blob) => Add(blob.Length, SHA384.HashData(blob));

    public DeepHash Add(long length, ReadOnlySpan<byte> sha384)
    {
        var tag = SHA384.HashData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob{length}")));
        _hash = SHA384.HashData([.. _hash, .. SHA384.HashData([.. tag, .. sha384])]);
        return this;
    }

    public ReadOnlySpan<byte> End() => _hash;
}
