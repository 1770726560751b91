using System.Security.Cryptography;

namespace DarkStorage.Storage.Encryption;

/// <summary>A key of 256 bits in memory: never printed, never moved by the collector, zeroed when disposed.</summary>
public abstract class SecretKey : IDisposable
{
    /// <summary>Bytes of a key.</summary>
    public const int Length = 32;

    private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(Length, pinned: true);
    private bool _disposed;

    /// <param name="bytes"><see cref="Length"/> bytes, copied: the caller zeroes its own.</param>
    private protected SecretKey(ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes.Length, Length, nameof(bytes));
        bytes.CopyTo(_bytes);
    }

    /// <exception cref="ObjectDisposedException">It was zeroed: nothing may be sealed under zeros.</exception>
    public ReadOnlySpan<byte> Bytes
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _bytes;
        }
    }

    public void Dispose()
    {
        _disposed = true;
        CryptographicOperations.ZeroMemory(_bytes);
        GC.SuppressFinalize(this);
    }

    /// <summary>The name of the type, whatever it holds.</summary>
    public sealed override string ToString() => GetType().Name;
}

/// <summary>What the bytes of one object, or of one multipart upload, are sealed under. Each blob gets a key of its own that is derived from it.</summary>
public sealed class DataKey : SecretKey
{
    public DataKey(ReadOnlySpan<byte> bytes) : base(bytes) { }

    /// <summary>A random one.</summary>
    public static DataKey Create()
    {
        Span<byte> bytes = stackalloc byte[Length];
        RandomNumberGenerator.Fill(bytes);
        var key = new DataKey(bytes);
        CryptographicOperations.ZeroMemory(bytes);
        return key;
    }
}

/// <summary>A key that a client sends with each request (SSE-C).</summary>
public sealed class CustomerKey : SecretKey
{
    public CustomerKey(ReadOnlySpan<byte> bytes) : base(bytes) { }
}
