using System.Collections.Immutable;
using System.Text;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>
/// One version of the membership, and what follows from it: which silo is the home of which grain. The hashes of grains are cut into 256
/// slots, and each slot goes to the active silo whose name scores highest with it (rendezvous hashing), so that a silo that comes or
/// goes moves only the slots that it gets or had, and one that restarts under its name gets back those that it had.
/// </summary>
internal sealed class ClusterView
{
    public const int Slots = 256;

    private readonly SiloAddress[]? _homes;

    public ClusterView(ClusterMembershipSnapshot snapshot)
    {
        Snapshot = snapshot;
        var active = snapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).OrderBy(member => member.SiloAddress).ToArray();
        if (active.Length > 0) _homes = [.. Enumerable.Range(0, Slots).Select(slot => active.MaxBy(member => Score(member.Name, slot))!.SiloAddress)];
    }

    public static ClusterView Empty { get; } = new(new(ImmutableDictionary<SiloAddress, ClusterMember>.Empty, new(-1)));

    public ClusterMembershipSnapshot Snapshot { get; }

    public long Version => Snapshot.Version.Value;

    /// <summary>Null while no silo is active.</summary>
    public SiloAddress? HomeOf(GrainId id) => _homes?[id.GetUniformHashCode() / (uint.MaxValue / Slots + 1)];

    /// <summary>
    /// Versions only grow, and each is of one membership, unless a database that had not got all of it takes the place of the one that had. What was read
    /// then is not what the others go by, and never will be.
    /// </summary>
    public bool IsOfAnotherPast(ClusterView earlier) =>
        Version < earlier.Version || (Version == earlier.Version && !Snapshot.Members.Values.ToHashSet().SetEquals(earlier.Snapshot.Members.Values));

    /// <summary>It may call: it has joined and is not dead.</summary>
    public bool IsLive(SiloAddress silo) =>
        Snapshot.Members.TryGetValue(silo, out var member) && member.Status is > SiloStatus.None and < SiloStatus.Dead;

    public IEnumerable<SiloAddress> LiveOthers(SiloAddress self) => Snapshot.Members.Keys.Where(silo => silo != self && IsLive(silo));

    /// <summary>Who may still hold grains: who is only joining has never had any.</summary>
    public IEnumerable<SiloAddress> HoldingOthers(SiloAddress self) => LiveOthers(self).Where(silo => Snapshot.GetSiloStatus(silo) >= SiloStatus.Active);

    /// <summary>The hashes that a silo is the home of, as <see cref="IReminderTable.ReadRows(uint, uint)"/> wants them.</summary>
    public IEnumerable<(uint Begin, uint End)> RangesOf(SiloAddress silo)
    {
        if (_homes is null) yield break;
        if (_homes.All(home => home == silo))
        {
            yield return (0, 0);
            yield break;
        }

        const uint size = uint.MaxValue / Slots + 1;
        for (var slot = 0; slot < Slots; slot++)
        {
            if (_homes[slot] != silo) continue;
            var first = slot;
            while (slot + 1 < Slots && _homes[slot + 1] == silo) slot++;
            yield return (unchecked(((uint)first * size) - 1), unchecked((((uint)slot + 1) * size) - 1));
        }
    }

    private static ulong Score(string name, int slot)
    {
        var text = Encoding.UTF8.GetBytes($"{name}/{slot}");
        return ((ulong)StableHash.ComputeHash(text) << 32) | StableHash.ComputeHash(Encoding.UTF8.GetBytes(name));   // names decide a tie
    }
}
