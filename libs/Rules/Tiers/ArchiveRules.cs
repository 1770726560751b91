using System.Globalization;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Lifecycle;

namespace DarkStorage.Rules.Tiers;

/// <summary>What is archived, and when it can be read: S3's archive classes (Amazon S3 API, RestoreObject).</summary>
public static class ArchiveRules
{
    private const int DaysMax = 36_500;

    /// <summary>Whether what is in a class has to be restored before it is read. GLACIER_IR is none of them: S3 calls it instant retrieval.</summary>
    public static bool IsArchive(string storageClass) => Tier.Archives.Contains(storageClass);

    /// <summary>Whether a version can be read now. What has the class of an archive and lies on the cluster's own drives, or in the index, was never taken away.</summary>
    public static bool IsReadable(this ObjectVersion version, DateTimeOffset now) =>
        version.Manifest.Place is null || !IsArchive(version.StorageClass) || version.Restore.IsHeld(now);

    /// <summary>Whether it was restored, and that is not over.</summary>
    public static bool IsHeld(this ArchiveRestore? restore, DateTimeOffset now) => restore?.Until > now;

    /// <summary>Whether it holds, or somebody waits for it.</summary>
    public static bool IsActive(this ArchiveRestore? restore, DateTimeOffset now) => restore is { Until: null } || restore.IsHeld(now);

    /// <summary>What <c>x-amz-restore</c> tells; null where nothing was asked for, or it is over.</summary>
    public static string? Describe(this ArchiveRestore? restore, DateTimeOffset now) =>
        restore is { Until: null } ? "ongoing-request=\"true\""
        : restore.IsHeld(now) ? $"ongoing-request=\"false\", expiry-date=\"{restore!.Until!.Value.ToString("r", CultureInfo.InvariantCulture)}\""
        : null;

    /// <summary>Until when it can be read, counted as a lifecycle's days are: to the next midnight.</summary>
    public static DateTimeOffset UntilOf(int days, DateTimeOffset now, TimeSpan day) => LifecycleRules.Due(now, days, null, day);

    /// <summary>Decides on somebody's asking for a version.</summary>
    /// <returns>What it is to be from now on.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.ObjectNotArchived"/>; <see cref="StorageError.RestoreInProgress"/>: it is being brought back already, and not to be sooner; <see cref="StorageError.InvalidArgument"/>.</exception>
    public static ArchiveRestore Ask(this ObjectVersion version, int days, WarmUpSpeed speed, DateTimeOffset now, TimeSpan day)
    {
        if (!IsArchive(version.StorageClass)) throw new StorageException(StorageError.ObjectNotArchived, $"Version {version.Name} is {version.StorageClass}, which needs no restore.");
        if (speed == WarmUpSpeed.Expedited && version.StorageClass == "DEEP_ARCHIVE") throw new StorageException(StorageError.InvalidArgument, "Expedited retrieval is not available for the storage class DEEP_ARCHIVE.");
        if (days is < 1 or > DaysMax) throw new StorageException(StorageError.InvalidArgument, $"Days: 1 to {DaysMax}.");
        if (version.Restore is { Until: null } begun)
        {
            // As S3 has it: one that is under way can be made quicker, and nothing else.
            return speed == WarmUpSpeed.Expedited && begun.Speed != WarmUpSpeed.Expedited
                ? begun with { Speed = speed }
                : throw new StorageException(StorageError.RestoreInProgress, $"Version {version.Name} is being restored.");
        }
        var isHere = version.Manifest.Place is null || version.Restore.IsHeld(now);
        return new(days, speed, isHere ? UntilOf(days, now, day) : null);
    }
}
