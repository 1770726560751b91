using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Orleans.Runtime;

/// <summary>One run of one silo: its endpoint and a generation that tells this run from an earlier one at the same endpoint.</summary>
public sealed class SiloAddress : IEquatable<SiloAddress>, IComparable<SiloAddress>
{
    private static readonly DateTime Epoch = new(2022, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private SiloAddress(IPEndPoint endpoint, int generation)
    {
        Endpoint = endpoint;
        Generation = generation;
    }

    public IPEndPoint Endpoint { get; }

    public int Generation { get; }

    public static SiloAddress Zero { get; } = New(new IPEndPoint(0, 0), 0);

    public static SiloAddress New(IPEndPoint ep, int gen) => new(ep, gen);

    public static SiloAddress New(IPAddress address, int port, int generation) => new(new IPEndPoint(address, port), generation);

    /// <summary>Seconds since 2022: grows from one start of a silo to the next.</summary>
    public static int AllocateNewGeneration() => (int)((DateTime.UtcNow - Epoch).Ticks / TimeSpan.TicksPerSecond);

    public string ToParsableString() => $"{Endpoint.Address}:{Endpoint.Port}@{Generation}";

    public static SiloAddress FromParsableString(string addr) => Parse(addr);

    public static SiloAddress Parse(string value) => TryParse(value, out var address)
        ? address
        : throw new FormatException($"\"{value}\" is no silo address: ip:port@generation was expected");

    public static bool TryParse(string? value, [NotNullWhen(true)] out SiloAddress? result)
    {
        result = null;
        if (value is null || value.LastIndexOf('@') is var at && at < 0 || value.LastIndexOf(':', at) is var colon && colon < 0) return false;
        if (!IPAddress.TryParse(value.AsSpan(0, colon), out var ip)
            || !ushort.TryParse(value.AsSpan(colon + 1, at - colon - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            || !int.TryParse(value.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var generation))
            return false;
        result = New(ip, port, generation);
        return true;
    }

    public override string ToString() => $"S{Endpoint.Address}:{Endpoint.Port}:{Generation}";

    public override bool Equals(object? obj) => Equals(obj as SiloAddress);

    public bool Equals(SiloAddress? other) => other is not null && Generation == other.Generation && Endpoint.Equals(other.Endpoint);

    public override int GetHashCode() => HashCode.Combine(Endpoint, Generation);

    public int CompareTo(SiloAddress? other)
    {
        if (other is null) return 1;
        var order = Generation.CompareTo(other.Generation);
        if (order == 0) order = Endpoint.Port.CompareTo(other.Endpoint.Port);
        return order != 0 ? order : Endpoint.Address.GetAddressBytes().AsSpan().SequenceCompareTo(other.Endpoint.Address.GetAddressBytes());
    }

    public static bool operator ==(SiloAddress? left, SiloAddress? right) => left is null ? right is null : left.Equals(right);

    public static bool operator !=(SiloAddress? left, SiloAddress? right) => !(left == right);

    public static bool operator <(SiloAddress left, SiloAddress right) => left.CompareTo(right) < 0;

    public static bool operator <=(SiloAddress left, SiloAddress right) => left.CompareTo(right) <= 0;

    public static bool operator >(SiloAddress left, SiloAddress right) => left.CompareTo(right) > 0;

    public static bool operator >=(SiloAddress left, SiloAddress right) => left.CompareTo(right) >= 0;
}

/// <summary>One activation of a grain, told from the ones before and after it.</summary>
public readonly struct ActivationId : IEquatable<ActivationId>
{
    private readonly Guid _key;

    public ActivationId(Guid key) => _key = key;

    public bool IsDefault => _key == Guid.Empty;

    internal Guid ToGuid() => _key;

    public static ActivationId NewId() => new(Guid.NewGuid());

    public override bool Equals([NotNullWhen(true)] object? obj) => obj is ActivationId other && Equals(other);

    public bool Equals(ActivationId other) => _key == other._key;

    public override int GetHashCode() => _key.GetHashCode();

    public override string ToString() => $"@{_key:N}";

    public string ToParsableString() => ToString();

    public static bool operator ==(ActivationId left, ActivationId right) => left.Equals(right);

    public static bool operator !=(ActivationId left, ActivationId right) => !left.Equals(right);
}

/// <summary>Where an activation lives.</summary>
public sealed class GrainAddress
{
    public GrainId GrainId { get; init; }

    public ActivationId ActivationId { get; init; }

    public SiloAddress? SiloAddress { get; init; }

    public bool IsComplete => !GrainId.IsDefault && !ActivationId.IsDefault && SiloAddress is not null;

    public override string ToString() => $"[{GrainId} {ActivationId} {SiloAddress}]";
}
