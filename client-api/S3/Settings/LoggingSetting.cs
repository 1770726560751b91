using System.Collections.Immutable;
using System.Text;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Logging;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketLogging, PutBucketLogging. An empty document ends the log.</summary>
internal static class LoggingSetting
{
    private const string NoPermission = "You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket";

    public static readonly BucketSetting<LoggingConfiguration> Setting = new()
    {
        Kind = BucketSettings.Logging,
        Root = "BucketLoggingStatus",
        Missing = null,
        GetAction = S3Action.GetBucketLogging,
        PutAction = S3Action.PutBucketLogging,
        Read = document => new(document.Allow("LoggingEnabled").Find("LoggingEnabled") is { } enabled ? Read(enabled) : null),
        Write = Write,
        Check = CheckTargetAsync,
    };

    private static LogTarget Read(S3Element enabled)
    {
        enabled.Allow("TargetBucket", "TargetPrefix", "TargetGrants", "TargetObjectKeyFormat");
        var prefix = enabled.RawTextOf("TargetPrefix") ?? throw S3Element.Malformed();
        var grants = ImmutableArray.CreateBuilder<Grant>();
        foreach (var grant in enabled.Find("TargetGrants")?.Allow("Grant").Children ?? [])
        {
            var permission = grant.Allow("Grantee", "Permission").EnumOf<AclPermission>("Permission");
            if (permission is not (AclPermission.Read or AclPermission.Write or AclPermission.FullControl)) throw S3Element.Malformed();
            grants.Add(new(Acls.ReadGrantee(grant.Require("Grantee")), permission.Value));
        }
        // With the owner's own the list must still be one.
        if (grants.Count >= AccessControlList.GrantsMax) throw S3Element.Malformed();
        return new(enabled.RequireText("TargetBucket"), prefix, grants.ToImmutable(), ReadFormat(enabled.Find("TargetObjectKeyFormat")));
    }

    private static LogKeyFormat? ReadFormat(S3Element? format)
    {
        if (format is null) return null;
        format.Allow("SimplePrefix", "PartitionedPrefix");
        var (simple, partitioned) = (format.Find("SimplePrefix"), format.Find("PartitionedPrefix"));
        if (simple is null == partitioned is null) throw S3Element.Malformed();
        if (simple is not null)
        {
            simple.Allow();
            return LogKeyFormat.Simple;
        }
        return partitioned!.Allow("PartitionDateSource").TextOf("PartitionDateSource") switch
        {
            "EventTime" => LogKeyFormat.PartitionedByEventTime,
            "DeliveryTime" or null => LogKeyFormat.PartitionedByDeliveryTime,
            _ => throw S3Element.Malformed(),
        };
    }

    /// <summary>Both buckets are of one owner, and whoever asks could have written there, or the target lets the log-delivery group: else who may set the log of one
    /// bucket could have objects written into others.</summary>
    private static async ValueTask CheckTargetAsync(S3Request s3, BucketRecord bucket, LoggingConfiguration setting, CancellationToken ct)
    {
        if (setting.Enabled is not { } wanted) return;
        var key = LogTarget.KeyOf(wanted.KeyFormat ?? LogKeyFormat.Simple, wanted.Prefix, s3.Options.AccountId, bucket.Region, bucket.Name, s3.Clock.GetUtcNow(), new('0', LogTarget.UniqueLength));
        if (Encoding.UTF8.GetByteCount(key) > S3Target.KeyBytesMax || key.Contains('\0', StringComparison.Ordinal))
            throw S3Exception.InvalidArgument("The target prefix leaves no room for the names of logs.", "TargetPrefix", "");
        var target = await s3.Index.FindBucketAsync(wanted.Bucket, ct);
        switch (LogTarget.ProblemOf(bucket.Owner, bucket.Region, target))
        {
            case LogTargetProblem.Missing: throw Invalid("The target bucket for logging does not exist", wanted);
            case LogTargetProblem.OtherOwner: throw Invalid("The owner for the bucket to be logged and the target bucket must be the same.", wanted);
            case LogTargetProblem.OtherRegion: throw new S3Exception(S3Error.CrossLocationLoggingProhibited).With("TargetBucketLocation", target!.Region);
            case LogTargetProblem.RetainsByDefault: throw Invalid("The target bucket for logging must not have a default retention of object lock.", wanted);
            case LogTargetProblem.RequesterPays: throw Invalid("The target bucket for logging must not be one whose requesters pay.", wanted);
        }
        var access = BucketRules.Of(target!).Access;
        var lists = access.Ownership != ObjectOwnership.BucketOwnerEnforced;
        if (!s3.IsAllowed(S3Action.PutObject, target!, key, null, null) && !(lists && LetsDeliver(access.Acl))) throw Invalid(NoPermission, wanted);
        if (wanted.Grants.IsEmpty) return;
        if (!lists) throw new S3Exception(S3Error.AccessControlListNotSupported);
        if (access.PublicAccess.BlockPublicAcls && wanted.Grants.Any(g => g.Grantee.IsPublic)) throw new S3Exception(S3Error.AccessDenied);
        foreach (var grant in wanted.Grants) await Acls.RequireThereAsync(s3, "CanonicalUser/ID", grant.Grantee, ct);
    }

    private static bool LetsDeliver(AccessControlList? acl) =>
        acl is not null && acl.Grants.Any(g => g.Grantee == Grantee.LogDelivery && g.Permission is AclPermission.Write or AclPermission.FullControl);

    private static S3Exception Invalid(string message, LogTarget target) =>
        new S3Exception(S3Error.InvalidTargetBucketForLogging, message).With("TargetBucket", target.Bucket.Length <= 63 ? target.Bucket : target.Bucket[..63]);

    private static void Write(S3XmlWriter xml, LoggingConfiguration setting)
    {
        if (setting.Enabled is not { } target) return;
        xml.Start("LoggingEnabled"u8);
        xml.Element("TargetBucket"u8, target.Bucket);
        if (!target.Grants.IsEmpty)
        {
            xml.Start("TargetGrants"u8);
            foreach (var grant in target.Grants) Acls.Write(xml, grant);
            xml.End("TargetGrants"u8);
        }
        if (target.KeyFormat is { } format)
        {
            xml.Start("TargetObjectKeyFormat"u8);
            if (format == LogKeyFormat.Simple)
            {
                xml.Start("SimplePrefix"u8);
                xml.End("SimplePrefix"u8);
            }
            else
            {
                xml.Start("PartitionedPrefix"u8);
                xml.Element("PartitionDateSource"u8, format == LogKeyFormat.PartitionedByEventTime ? "EventTime" : "DeliveryTime");
                xml.End("PartitionedPrefix"u8);
            }
            xml.End("TargetObjectKeyFormat"u8);
        }
        xml.Element("TargetPrefix"u8, target.Prefix);
        xml.End("LoggingEnabled"u8);
    }
}
