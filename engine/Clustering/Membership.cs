using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Orleans.Runtime;

/// <summary>Where a silo is in its life. It only ever goes forward; from dead nothing comes back.</summary>
public enum SiloStatus
{
    None,
    Created,
    Joining,
    Active,
    ShuttingDown,
    Stopping,
    Dead,
}

/// <summary>Grows by one with every change of the membership.</summary>
public readonly struct MembershipVersion : IComparable<MembershipVersion>, IEquatable<MembershipVersion>
{
    public MembershipVersion(long version) => Value = version;

    public long Value { get; init; }

    public static MembershipVersion MinValue => new(long.MinValue);

    public int CompareTo(MembershipVersion other) => Value.CompareTo(other.Value);

    public bool Equals(MembershipVersion other) => Value == other.Value;

    public override bool Equals([NotNullWhen(true)] object? obj) => obj is MembershipVersion other && Equals(other);

    public override int GetHashCode() => Value.GetHashCode();

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);

    public static bool operator ==(MembershipVersion left, MembershipVersion right) => left.Value == right.Value;

    public static bool operator !=(MembershipVersion left, MembershipVersion right) => left.Value != right.Value;

    public static bool operator <(MembershipVersion left, MembershipVersion right) => left.Value < right.Value;

    public static bool operator <=(MembershipVersion left, MembershipVersion right) => left.Value <= right.Value;

    public static bool operator >(MembershipVersion left, MembershipVersion right) => left.Value > right.Value;

    public static bool operator >=(MembershipVersion left, MembershipVersion right) => left.Value >= right.Value;
}

/// <summary>One silo as the membership has it.</summary>
public sealed class ClusterMember : IEquatable<ClusterMember>
{
    public ClusterMember(SiloAddress siloAddress, SiloStatus status, string name)
    {
        SiloAddress = siloAddress;
        Status = status;
        Name = name;
    }

    public SiloAddress SiloAddress { get; }

    public SiloStatus Status { get; }

    public string Name { get; }

    public bool Equals(ClusterMember? other) =>
        other is not null && SiloAddress == other.SiloAddress && Status == other.Status && Name == other.Name;

    public override bool Equals(object? obj) => Equals(obj as ClusterMember);

    public override int GetHashCode() => SiloAddress.GetHashCode();

    public override string ToString() => $"{Name} {SiloAddress} {Status}";
}

/// <summary>The membership at one version.</summary>
public sealed class ClusterMembershipSnapshot
{
    public ClusterMembershipSnapshot(ImmutableDictionary<SiloAddress, ClusterMember> members, MembershipVersion version)
    {
        Members = members;
        Version = version;
    }

    public ImmutableDictionary<SiloAddress, ClusterMember> Members { get; }

    public MembershipVersion Version { get; }

    /// <returns>Dead for an earlier run of a silo that is listed, none for a silo that is not known.</returns>
    public SiloStatus GetSiloStatus(SiloAddress silo)
    {
        if (Members.TryGetValue(silo, out var member)) return member.Status;
        return Members.Keys.Any(other => other.Endpoint.Equals(silo.Endpoint) && other.Generation > silo.Generation) ? SiloStatus.Dead : SiloStatus.None;
    }

    public override string ToString() => $"[version {Version}: {string.Join(", ", Members.Values)}]";
}

/// <summary>Who is in the cluster.</summary>
public interface IClusterMembershipService
{
    ClusterMembershipSnapshot CurrentSnapshot { get; }

    /// <summary>The current snapshot, then each one that follows. One who is slow sees the newest, not every one.</summary>
    IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates { get; }

    /// <summary>Reads the membership anew; with a version, until it is at least that.</summary>
    ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default);
}
