using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Orleans.Runtime;

/// <summary>The bytes of a grain type or a grain key, with their hash computed once.</summary>
public readonly struct IdSpan : IEquatable<IdSpan>, IComparable<IdSpan>
{
    private readonly byte[]? _value;
    private readonly int _hash;

    public IdSpan(byte[] value)
    {
        ArgumentNullException.ThrowIfNull(value);
        _value = value;
        _hash = (int)StableHash.ComputeHash(value);
    }

    public ReadOnlyMemory<byte> Value => _value;

    public bool IsDefault => _value is null || _value.Length == 0;

    public static IdSpan Create(string id) => new(Encoding.UTF8.GetBytes(id));

    public ReadOnlySpan<byte> AsSpan() => _value;

    public override bool Equals([NotNullWhen(true)] object? obj) => obj is IdSpan other && Equals(other);

    public bool Equals(IdSpan obj) =>
        ReferenceEquals(_value, obj._value) || (_hash == obj._hash && AsSpan().SequenceEqual(obj.AsSpan()));

    public override int GetHashCode() => _hash;

    /// <summary>A hash that is the same in every process: it decides who owns a reminder.</summary>
    public uint GetUniformHashCode() => (uint)_hash;

    public int CompareTo(IdSpan other) => AsSpan().SequenceCompareTo(other.AsSpan());

    public override string ToString() => _value is null ? "" : Encoding.UTF8.GetString(_value);

    public static bool operator ==(IdSpan left, IdSpan right) => left.Equals(right);

    public static bool operator !=(IdSpan left, IdSpan right) => !left.Equals(right);

    public static bool operator <(IdSpan left, IdSpan right) => left.CompareTo(right) < 0;

    public static bool operator <=(IdSpan left, IdSpan right) => left.CompareTo(right) <= 0;

    public static bool operator >(IdSpan left, IdSpan right) => left.CompareTo(right) > 0;

    public static bool operator >=(IdSpan left, IdSpan right) => left.CompareTo(right) >= 0;
}
