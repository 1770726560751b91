using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Rules.ObjectLock;

/// <summary>Object lock of a bucket: that the setting is there means that it is on, for ever.</summary>
/// <param name="Default">What a new version gets that names no retention of its own, or null.</param>
public sealed record ObjectLockConfiguration(DefaultRetention? Default);

/// <param name="Days">One of days and years is given.</param>
public sealed record DefaultRetention(RetentionMode Mode, int? Days, int? Years)
{
    /// <summary>The retention of a version made now.</summary>
    public ObjectRetention From(DateTimeOffset now) => new(Mode, Days is { } days ? now.AddDays(days) : now.AddYears(Years ?? 0));
}

/// <summary>What object lock allows. Nothing else in the program may remove a version: not a client, not lifecycle, not the administrator.</summary>
public static class ObjectLockRules
{
    /// <exception cref="StorageException"><see cref="StorageError.ObjectLocked"/>: a legal hold or a retention keeps the version.</exception>
    public static void ThrowIfKept(this ObjectVersion version, DateTimeOffset now, bool bypassGovernance)
    {
        if (version.Attributes.LegalHold) throw Locked($"Version {version.Name} is under a legal hold.");
        if (version.Attributes.Retention is { } retention && retention.IsActive(now) && !(retention.Mode == RetentionMode.Governance && bypassGovernance))
            throw Locked($"Version {version.Name} is retained until {retention.Until:O}.");
    }

    /// <summary>An active retention can be made longer and stricter by anyone with the right to set it; shorter or laxer only in governance mode, by who bypasses it.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.ObjectLocked"/>.</exception>
    public static void ThrowIfRefused(this RetentionChange change, ObjectRetention? now, DateTimeOffset time)
    {
        if (now is null || !now.IsActive(time)) return;
        if (now.Mode == RetentionMode.Governance && change.BypassGovernance) return;
        if (change.To is { } to && to.Until >= now.Until && to.Mode >= now.Mode) return;
        throw Locked($"The retention ends {now.Until:O} in {now.Mode} mode and cannot be made shorter or laxer.");
    }

    public static bool IsActive(this ObjectRetention retention, DateTimeOffset now) => retention.Until > now;

    private static StorageException Locked(string message) => new(StorageError.ObjectLocked, message);
}
