using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Packs;

/// <remarks>Freeing. Invariants: what is punched is in no table, and nobody reads it. A frame's header goes before its payload,
/// so that a crash in between leaves no header that promises bytes that are gone. A dead pack is unlinked, never emptied.</remarks>
public sealed partial class PackStore
{
    /// <summary>Past so many punches, the caller's thread is not kept busy with them.</summary>
    private const int PunchesInline = 8;

    /// <inheritdoc/>
    public override ValueTask DeleteAsync(BlobId blob, CancellationToken ct)
    {
        if (!blob.IsStriped || blob.Shard > 0) return FreeAsync(_table.Remove(blob));
        // One shard is here, or two while a layout changes.
        var places = new List<Location>();
        for (var shard = 1; shard <= blob.Redundancy.Width; shard++) places.AddRange(_table.Remove(blob.OfShard(shard)));
        return FreeAsync(places);
    }

    private ValueTask FreeAsync(List<Location> places)
    {
        if (places.Count == 0) return ValueTask.CompletedTask;
        if (places.Count > PunchesInline) return new(Task.Run(() => Free(places), CancellationToken.None));
        Free(places);
        return ValueTask.CompletedTask;
    }

    private void Free(List<Location> places)
    {
        foreach (var place in places) Free(place);
    }

    private void Free(Location place)
    {
        if (!TryAcquire(place.Pack, out var pack)) return;
        try
        {
            if (pack.AddLive(-place.FrameBytes) == 0 && RetireIfDead(pack)) return;
            Punch(pack, place);
        }
        catch (IOException e)
        {
            LogPunchFailed(_log, pack.Number, e);       // its space returns when the pack is compacted
        }
        finally
        {
            pack.Release();
        }
    }

    private static void Punch(Pack pack, Location place)
    {
        if (place.FrameBytes > PackFormat.Page) pack.File.Punch(place.Offset, PackFormat.Page);
        pack.File.Punch(place.Offset, place.FrameBytes);
    }

    /// <summary>Unlinks a sealed pack that holds nothing live. Who reads it still can go on.</summary>
    private bool RetireIfDead(Pack pack)
    {
        if (pack.Doubtful || pack.LiveBytes != 0 || !pack.TryRetire()) return false;
        _packs.TryRemove(pack.Number, out _);
        TryDelete(pack.Name);
        TryDelete(pack.IndexName);
        LogPackRetired(_log, pack.Number);
        pack.Release();
        return true;
    }
}
