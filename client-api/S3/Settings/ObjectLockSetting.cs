using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.ObjectLock;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetObjectLockConfiguration, PutObjectLockConfiguration.</summary>
internal static class ObjectLockSetting
{
    /// <summary>S3's longest default retention.</summary>
    private const int DaysMax = 36_500;
    private const int YearsMax = 100;

    public static readonly BucketSetting<ObjectLockConfiguration> Setting = new()
    {
        Kind = BucketSettings.ObjectLock,
        Root = "ObjectLockConfiguration",
        Missing = S3Error.ObjectLockConfigurationNotFound,
        GetAction = S3Action.GetBucketObjectLockConfiguration,
        PutAction = S3Action.PutBucketObjectLockConfiguration,
        Read = Read,
        Write = Write,
    };

    private static ObjectLockConfiguration Read(S3Element document)
    {
        document.Allow("ObjectLockEnabled", "Rule");
        if (document.TextOf("ObjectLockEnabled") is not (null or "Enabled")) throw S3Element.Malformed();
        if (document.Find("Rule") is not { } rule) return new(null);
        var retention = rule.Allow("DefaultRetention").Require("DefaultRetention").Allow("Mode", "Days", "Years");
        var mode = retention.EnumOf<RetentionMode>("Mode") ?? throw S3Element.Malformed();
        var (days, years) = (retention.Int32Of("Days"), retention.Int32Of("Years"));
        if (days is null == years is null) throw S3Element.Malformed();
        if (days is <= 0 || years is <= 0) throw S3Exception.InvalidArgument("Default retention period must be a positive integer value", "Rule", "");
        if (days > DaysMax || years > YearsMax) throw S3Exception.InvalidArgument($"Default retention period too large. Must be at most {DaysMax} days or {YearsMax} years.", "Rule", "");
        return new(new DefaultRetention(mode, days, years));
    }

    private static void Write(S3XmlWriter xml, ObjectLockConfiguration setting)
    {
        xml.Element("ObjectLockEnabled"u8, "Enabled");
        if (setting.Default is not { } retention) return;
        xml.Start("Rule"u8);
        xml.Start("DefaultRetention"u8);
        xml.Element("Mode"u8, S3Words.Of(retention.Mode));
        if (retention.Days is { } days) xml.Element("Days"u8, days);
        if (retention.Years is { } years) xml.Element("Years"u8, years);
        xml.End("DefaultRetention"u8);
        xml.End("Rule"u8);
    }
}
