using System.Globalization;

namespace DarkStorage.Simulation.Crash;

/// <summary>What a version shows of itself.</summary>
/// <param name="Content"><see cref="Content.None"/> of a delete marker.</param>
/// <param name="ETag">Empty of a delete marker.</param>
internal sealed record Made(Content Content, string ETag)
{
    public static readonly Made Marker = new(Content.None, "");
}

/// <summary>A version that was asked for.</summary>
internal sealed class KnownVersion(string what, Made made, long begun)
{
    public Made Made => made;

    public long Begun => begun;

    /// <summary>When its answer came.</summary>
    public long Ended { get; private set; } = long.MaxValue;

    /// <summary>Null where its making had no answer.</summary>
    public string? Id { get; private set; }

    /// <summary>Its removal was asked for: it may be gone.</summary>
    public bool Removing { get; set; }

    public void Acknowledge(long now, string id) => (Ended, Id) = (now, id);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{what} {Id ?? "without an answer"} [{begun}..{(Ended == long.MaxValue ? "" : Ended)}]: {made.Content}{(Removing ? ", being removed" : "")}");
}

/// <param name="Etag">As the listing has it, without quotes; empty of a delete marker.</param>
internal sealed record ListedVersion(string Id, bool IsMarker, long Length, string Etag, bool IsLatest);

/// <summary>What was done to the versions of one key, and so what a listing of them may show.</summary>
/// <remarks>The rules: a version that was acknowledged is there until its removal is asked for, and is never there after its removal was acknowledged; what had no answer
/// is there whole or not at all; and of two of which one had ended before the other began, the later is the newer. Not thread-safe: its owner locks.</remarks>
internal sealed class VersionHistory
{
    private readonly List<KnownVersion> _versions = [];

    public IReadOnlyList<KnownVersion> Versions => _versions;

    public KnownVersion Begin(string what, long now, Made made)
    {
        var version = new KnownVersion(what, made, now);
        _versions.Add(version);
        return version;
    }

    /// <summary>It was removed, and that was acknowledged; or its making was refused.</summary>
    public void Forget(KnownVersion version) => _versions.Remove(version);

    /// <summary>What is wrong with a listing that was made while nobody wrote.</summary>
    /// <param name="listed">The newest first.</param>
    public IEnumerable<string> Explain(IReadOnlyList<ListedVersion> listed)
    {
        var missing = _versions.Where(v => v.Id is not null).ToDictionary(v => v.Id!);
        var unanswered = _versions.Where(v => v.Id is null).ToList();
        var known = new List<KnownVersion>();
        for (var i = 0; i < listed.Count; i++)
        {
            var entry = listed[i];
            if (entry.IsLatest != (i == 0)) yield return $"{entry} is in place {i} of its key";
            if (missing.Remove(entry.Id, out var version))
            {
                if (!Shows(entry, version)) yield return $"{entry} was made as {version}";
                known.Add(version);
            }
            // Of several without an answer that look alike, the one that was begun first explains the most.
            else if (unanswered.Find(v => Shows(entry, v)) is { } found)
            {
                unanswered.Remove(found);
                known.Add(found);
            }
            else yield return $"{entry} was removed, or never made";
        }
        foreach (var lost in missing.Values.Where(v => !v.Removing)) yield return $"{lost} is lost";
        for (var newer = 0; newer < known.Count; newer++)
        {
            for (var older = newer + 1; older < known.Count; older++)
                if (known[newer].Ended < known[older].Begun) yield return $"{known[newer]} is listed as newer than {known[older]}";
        }
    }

    /// <summary>After a crash: this is what is there.</summary>
    /// <param name="now">The next time, asked for once for each.</param>
    public void Settle(IReadOnlyList<(string Id, Made Made)> found, Func<long> now)
    {
        _versions.Clear();
        foreach (var (id, made) in found.Reverse()) Begin("found", now(), made).Acknowledge(now(), id);
    }

    private static bool Shows(ListedVersion entry, KnownVersion version) => entry.IsMarker
        ? version.Made == Made.Marker
        : version.Made != Made.Marker && entry.Length == version.Made.Content.Length && entry.Etag == version.Made.ETag;
}
