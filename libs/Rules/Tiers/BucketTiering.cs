using System.Collections.Immutable;
using System.Text;
using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Rules.Tiers;

/// <summary>Where what is written to a bucket goes, and where to as it gets older. Of the entries whose prefixes a key has, the one with the longest decides, and no other.</summary>
public sealed record BucketTiering(ImmutableArray<TieringEntry> Entries)
{
    private const int EntriesMax = 100;
    private const int TransitionsMax = 8;
    private const int PrefixBytesMax = 1_024;
    private const int DaysMax = 36_500;

    /// <returns>Null where none is for the key.</returns>
    public TieringEntry? EntryOf(string key) => Entries.Where(e => key.StartsWith(e.Prefix, StringComparison.Ordinal)).MaxBy(e => e.Prefix.Length);

    /// <returns>Why this can't be, as a sentence that says which entry; null where it can.</returns>
    /// <param name="nameOf">The tier of a storage class.</param>
    public string? WhyNot(Func<string, string> nameOf)
    {
        if (Entries.Length is 0 or > EntriesMax) return $"There are 1 to {EntriesMax} entries.";
        if (Entries.GroupBy(e => e.Prefix, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice) return $"{Of(twice.Key)}: there are two such entries.";
        foreach (var entry in Entries)
        {
            var of = Of(entry.Prefix);
            if (Encoding.UTF8.GetByteCount(entry.Prefix) > PrefixBytesMax) return $"{of}: a prefix has at most {PrefixBytesMax} bytes.";
            if (entry.Transitions.Length > TransitionsMax) return $"{of}: there are at most {TransitionsMax} transitions.";
            if (entry.DefaultClass is null && entry.Transitions.IsEmpty) return $"{of}: it says neither a default nor a transition.";
            var (days, seen) = (0, new HashSet<string>(StringComparer.Ordinal) { Tier.Hot.StorageClass, entry.DefaultClass ?? Tier.Hot.StorageClass });
            foreach (var step in entry.Transitions)
            {
                var name = nameOf(step.StorageClass);
                if (step.Days is < 1 or > DaysMax) return $"{of}: the transition to {name} is after 1 to {DaysMax} days, not {step.Days}.";
                if (step.Days <= days) return $"{of}: the transition to {name} after {step.Days} days is not later than the one before it.";
                if (!seen.Add(step.StorageClass)) return $"{of}: the transition to {name} goes back to where the object was before.";
                days = step.Days;
            }
        }
        return null;

        static string Of(string prefix) => prefix.Length == 0 ? "The bucket" : $"The prefix {prefix}";
    }
}

/// <param name="Prefix">Of keys; empty for all.</param>
/// <param name="DefaultClass">The storage class of what is written without one; null is that of the tier <c>hot</c>.</param>
/// <param name="Transitions">The soonest first.</param>
public sealed record TieringEntry(string Prefix, string? DefaultClass, ImmutableArray<TieringStep> Transitions);

/// <param name="Days">Since the version was made, counted as a lifecycle's are.</param>
public sealed record TieringStep(string StorageClass, int Days);
