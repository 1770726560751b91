using System.Diagnostics.CodeAnalysis;

namespace Orleans.Runtime;

/// <summary>The name of a grain class: what stays when the class is renamed, if <see cref="GrainTypeAttribute"/> says so.</summary>
public readonly struct GrainType : IEquatable<GrainType>, IComparable<GrainType>
{
    public GrainType(IdSpan id) => Value = id;

    public IdSpan Value { get; }

    public bool IsDefault => Value.IsDefault;

    public ReadOnlySpan<byte> AsSpan() => Value.AsSpan();

    public static GrainType Create(string value) => new(IdSpan.Create(value));

    public override bool Equals([NotNullWhen(true)] object? obj) => obj is GrainType other && Equals(other);

    public bool Equals(GrainType obj) => Value.Equals(obj.Value);

    public override int GetHashCode() => Value.GetHashCode();

    public uint GetUniformHashCode() => Value.GetUniformHashCode();

    public int CompareTo(GrainType other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString();

    public static bool operator ==(GrainType left, GrainType right) => left.Equals(right);

    public static bool operator !=(GrainType left, GrainType right) => !left.Equals(right);

    public static bool operator <(GrainType left, GrainType right) => left.CompareTo(right) < 0;

    public static bool operator <=(GrainType left, GrainType right) => left.CompareTo(right) <= 0;

    public static bool operator >(GrainType left, GrainType right) => left.CompareTo(right) > 0;

    public static bool operator >=(GrainType left, GrainType right) => left.CompareTo(right) >= 0;
}

/// <summary>Which grain: its type and its key, written <c>type/key</c>.</summary>
public readonly struct GrainId : IEquatable<GrainId>, IComparable<GrainId>, ISpanParsable<GrainId>
{
    public GrainId(GrainType type, IdSpan key)
    {
        Type = type;
        Key = key;
    }

    public GrainType Type { get; }

    public IdSpan Key { get; }

    public bool IsDefault => Type.IsDefault && Key.IsDefault;

    public static GrainId Create(string type, string key) => Create(GrainType.Create(type), key);

    public static GrainId Create(GrainType type, string key) => new(type, IdSpan.Create(key));

    public static GrainId Create(GrainType type, IdSpan key) => new(type, key);

    public static GrainId Parse(string value) => Parse(value, null);

    public static GrainId Parse(string value, IFormatProvider? provider = null)
    {
        ArgumentNullException.ThrowIfNull(value);
        return Parse(value.AsSpan(), provider);
    }

    public static GrainId Parse(ReadOnlySpan<char> value, IFormatProvider? provider = null) =>
        TryParse(value, provider, out var id) ? id : throw new FormatException($"\"{value}\" is no grain id: type/key was expected");

    public static bool TryParse(string? value, out GrainId result) => TryParse(value.AsSpan(), null, out result);

    public static bool TryParse(string? value, IFormatProvider? provider, out GrainId result) =>
        TryParse(value.AsSpan(), provider, out result);

    public static bool TryParse(ReadOnlySpan<char> value, IFormatProvider? provider, out GrainId result)
    {
        var slash = value.IndexOf('/');
        result = slash > 0 ? Create(value[..slash].ToString(), value[(slash + 1)..].ToString()) : default;
        return slash > 0;
    }

    public override bool Equals([NotNullWhen(true)] object? obj) => obj is GrainId other && Equals(other);

    public bool Equals(GrainId other) => Key.Equals(other.Key) && Type.Equals(other.Type);

    public override int GetHashCode() => (Type.GetHashCode() * 31) + Key.GetHashCode();

    /// <summary>A hash that is the same in every process: it decides where the grain's reminders are looked for.</summary>
    public uint GetUniformHashCode() => unchecked((Type.GetUniformHashCode() * 31) + Key.GetUniformHashCode());

    public int CompareTo(GrainId other) => Type.CompareTo(other.Type) is var order and not 0 ? order : Key.CompareTo(other.Key);

    public override string ToString() => $"{Type}/{Key}";

    public static bool operator ==(GrainId left, GrainId right) => left.Equals(right);

    public static bool operator !=(GrainId left, GrainId right) => !left.Equals(right);

    public static bool operator <(GrainId left, GrainId right) => left.CompareTo(right) < 0;

    public static bool operator <=(GrainId left, GrainId right) => left.CompareTo(right) <= 0;

    public static bool operator >(GrainId left, GrainId right) => left.CompareTo(right) > 0;

    public static bool operator >=(GrainId left, GrainId right) => left.CompareTo(right) >= 0;
}

/// <summary>The stable name of a grain interface.</summary>
public readonly struct GrainInterfaceType : IEquatable<GrainInterfaceType>
{
    public GrainInterfaceType(string value) => Value = IdSpan.Create(value);

    public GrainInterfaceType(IdSpan value) => Value = value;

    public IdSpan Value { get; }

    public bool IsDefault => Value.IsDefault;

    public static GrainInterfaceType Create(string value) => new(value);

    public override bool Equals([NotNullWhen(true)] object? obj) => obj is GrainInterfaceType other && Equals(other);

    public bool Equals(GrainInterfaceType other) => Value.Equals(other.Value);

    public override int GetHashCode() => Value.GetHashCode();

    public override string ToString() => Value.ToString();

    public static bool operator ==(GrainInterfaceType left, GrainInterfaceType right) => left.Equals(right);

    public static bool operator !=(GrainInterfaceType left, GrainInterfaceType right) => !left.Equals(right);
}
