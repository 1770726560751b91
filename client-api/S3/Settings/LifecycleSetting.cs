using System.Collections.Immutable;
using System.Security.Cryptography;
using DarkStorage.ClientApi.S3.Operations;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Tiers;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration, DeleteBucketLifecycle.</summary>
internal static class LifecycleSetting
{
    private const int IdLengthMax = 255;

    public static readonly BucketSetting<LifecycleConfiguration> Setting = new()
    {
        Kind = BucketSettings.Lifecycle,
        Root = "LifecycleConfiguration",
        Missing = S3Error.NoSuchLifecycleConfiguration,
        GetAction = S3Action.GetLifecycleConfiguration,
        PutAction = S3Action.PutLifecycleConfiguration,
        BytesMax = 1 << 20,
        Read = Read,
        Write = Write,
        Check = CheckTiersAsync,
    };

    /// <summary>A transition to a class that is a tier's moves bytes there: refused is one that can't, and one that a policy of the bucket takes back again. What the bucket says already may be said again.</summary>
    private static async ValueTask CheckTiersAsync(S3Request s3, BucketRecord bucket, LifecycleConfiguration document, CancellationToken ct)
    {
        var wanted = StepsOf(document).ToHashSet();
        if (wanted.Count == 0) return;
        var before = BucketLifecycle.Of(bucket, BucketPolicies.Of(await s3.Index.ListSettingsAsync(bucket.Id, BucketSettings.TierPolicies, "", BucketSettings.WithIdMax, ct)));
        wanted.ExceptWith(StepsOf(before.Document));
        var grain = s3.Grains.GetGrain<ITiersGrain>(ITiersGrain.Key);
        var tiers = await grain.ListAsync(ct);
        try
        {
            await grain.FindUsableAsync([.. tiers.Where(t => wanted.Any(w => w.StorageClass == t.StorageClass)).Select(static t => t.Name)], ct);
        }
        catch (StorageException e) when (e.Error is StorageError.InvalidArgument or StorageError.NoSuchTier or StorageError.NoSuchIntegration)
        {
            throw new S3Exception(S3Error.InvalidRequest, e.Message);
        }
        if ((before with { Document = document }).FindNewMistake(before, tiers) is { } mistake) throw new S3Exception(S3Error.InvalidRequest, mistake);
    }

    /// <summary>What is moved, by its filter as it is written, and where to.</summary>
    private static IEnumerable<(string Filter, bool IsNoncurrent, string StorageClass)> StepsOf(LifecycleConfiguration document) => document.Rules.Where(static r => r.IsEnabled)
        .SelectMany(static r => r.Transitions.Select(static t => (IsNoncurrent: false, t.StorageClass)).Concat(r.NoncurrentTransitions.Select(static t => (IsNoncurrent: true, t.StorageClass)))
            .Select(t => (SettingJson.Write(r.Filter), t.IsNoncurrent, t.StorageClass)));

    private static LifecycleConfiguration Read(S3Element document)
    {
        var rules = document.Allow("Rule").Children.Select(ReadRule).ToImmutableArray();
        if (rules.Length is 0 or > LifecycleConfiguration.RulesMax) throw S3Element.Malformed();
        if (rules.Select(r => r.Id).Distinct(StringComparer.Ordinal).Count() != rules.Length)
            throw new S3Exception(S3Error.InvalidArgument, "Rule ID must be unique. Found same ID for more than one rule");
        return new(rules);
    }

    private static LifecycleRule ReadRule(S3Element rule)
    {
        rule.Allow("ID", "Status", "Prefix", "Filter", "Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload", "Transition", "NoncurrentVersionTransition");
        var id = rule.TextOf("ID");
        if (id is { Length: > IdLengthMax }) throw S3Exception.InvalidArgument($"ID length should not exceed allowed limit of {IdLengthMax}", "ID", "");
        var enabled = rule.RequireText("Status") switch
        {
            "Enabled" => true,
            "Disabled" => false,
            _ => throw S3Element.Malformed(),
        };
        var (prefix, filter) = (rule.RawTextOf("Prefix"), rule.Find("Filter"));
        if (prefix is null == filter is null) throw S3Element.Malformed();
        var wanted = filter is null ? new(prefix, [], null, null) : ReadFilter(filter);
        var expiration = rule.Find("Expiration") is { } e ? ReadExpiration(e) : null;
        var noncurrent = rule.Find("NoncurrentVersionExpiration") is { } n ? new NoncurrentExpiration(Days(n.Allow("NoncurrentDays", "NewerNoncurrentVersions"), "NoncurrentDays"), Newer(n)) : null;
        var abort = rule.Find("AbortIncompleteMultipartUpload") is { } a ? Days(a.Allow("DaysAfterInitiation"), "DaysAfterInitiation") : (int?)null;
        var transitions = rule.All("Transition").Select(ReadTransition).ToImmutableArray();
        var later = rule.All("NoncurrentVersionTransition").Select(t =>
            new NoncurrentTransition(Days(t.Allow("NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"), "NoncurrentDays", 0), Newer(t), StorageClass(t))).ToImmutableArray();
        if (expiration is null && noncurrent is null && abort is null && transitions.IsEmpty && later.IsEmpty)
            throw new S3Exception(S3Error.InvalidRequest, "At least one action needs to be specified in a rule");
        if (abort is not null && wanted.Tags.Length > 0) throw new S3Exception(S3Error.InvalidRequest, "AbortIncompleteMultipartUpload cannot be specified with Tags.");
        if (expiration is { ExpiredDeleteMarker: not null } && wanted.Tags.Length > 0) throw new S3Exception(S3Error.InvalidRequest, "ExpiredObjectDeleteMarker cannot be specified with Tags.");
        if (transitions.Select(t => t.StorageClass).Distinct().Count() != transitions.Length || later.Select(t => t.StorageClass).Distinct().Count() != later.Length)
            throw new S3Exception(S3Error.InvalidRequest, "Two transitions of a rule name the same storage class.");
        if (transitions.Any(t => t.Days is null) && transitions.Any(t => t.Days is not null))
            throw new S3Exception(S3Error.InvalidRequest, "Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule");
        if (expiration?.Days is { } days && transitions.Any(t => t.Days >= days))
            throw S3Exception.InvalidArgument("'Days' in the Expiration action must be greater than 'Days' in the Transition action", "Days", "");
        return new(string.IsNullOrEmpty(id) ? NewId() : id, enabled, wanted, expiration, noncurrent, abort, transitions, later, filter is null);
    }

    private static LifecycleFilter ReadFilter(S3Element filter)
    {
        filter.Allow("Prefix", "Tag", "And", "ObjectSizeGreaterThan", "ObjectSizeLessThan");
        if (filter.Children.Count > 1) throw S3Element.Malformed();
        var source = filter;
        if (filter.Find("And") is { } and)
        {
            source = and.Allow("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan");
            if (and.Children.Count < 2) throw S3Element.Malformed();
        }
        var tags = source.All("Tag").Select(t => new KeyValuePair<string, string>(t.Allow("Key", "Value").RawTextOf("Key") ?? throw S3Element.Malformed(), t.RawTextOf("Value") ?? throw S3Element.Malformed())).ToImmutableArray();
        if (tags.Select(t => t.Key).Distinct(StringComparer.Ordinal).Count() != tags.Length) throw new S3Exception(S3Error.InvalidRequest, "Duplicate Tag Keys are not allowed.");
        var (more, less) = (source.Int64Of("ObjectSizeGreaterThan"), source.Int64Of("ObjectSizeLessThan"));
        if (more is < 0 || less is < 1) throw new S3Exception(S3Error.InvalidRequest, "ObjectSize must be a positive integer.");
        if (more >= less) throw new S3Exception(S3Error.InvalidRequest, "ObjectSizeLessThan must be greater than ObjectSizeGreaterThan");
        return new(source.RawTextOf("Prefix"), tags, more, less);
    }

    private static LifecycleExpiration ReadExpiration(S3Element element)
    {
        element.Allow("Days", "Date", "ExpiredObjectDeleteMarker");
        if (element.Children.Count != 1) throw S3Element.Malformed();
        if (element.BooleanOf("ExpiredObjectDeleteMarker") is { } marker) return new(null, null, marker);
        return element.Find("Days") is null ? new(null, Midnight(element), null) : new(Days(element, "Days"), null, null);
    }

    private static LifecycleTransition ReadTransition(S3Element element)
    {
        element.Allow("Days", "Date", "StorageClass");
        if (element.Find("Days") is null == element.Find("Date") is null) throw S3Element.Malformed();
        return element.Find("Days") is null ? new(null, Midnight(element), StorageClass(element)) : new(Days(element, "Days", 0), null, StorageClass(element));
    }

    private static int Days(S3Element element, string name, int min = 1) =>
        element.Int32Of(name) is not { } days ? throw S3Element.Malformed()
        : days >= min ? days
        : throw S3Exception.InvalidArgument($"'{name}' for this action must be a positive integer", name, days.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static int? Newer(S3Element element) => element.Int32Of("NewerNoncurrentVersions") switch
    {
        null => null,
        >= 1 and <= 100 and var newer => newer,
        var newer => throw S3Exception.InvalidArgument("'NewerNoncurrentVersions' is between 1 and 100.", "NewerNoncurrentVersions", newer.Value.ToString(System.Globalization.CultureInfo.InvariantCulture)),
    };

    private static DateTimeOffset Midnight(S3Element element)
    {
        var date = element.TimeOf("Date") ?? throw S3Element.Malformed();
        return date.UtcDateTime.TimeOfDay == TimeSpan.Zero ? date : throw S3Exception.InvalidArgument("'Date' must be at midnight GMT", "Date", element.TextOf("Date")!);
    }

    private static string StorageClass(S3Element element) =>
        TierRules.StorageClasses.Contains(element.RequireText("StorageClass")) && element.TextOf("StorageClass") != "STANDARD" ? element.TextOf("StorageClass")! : throw S3Element.Malformed();

    /// <summary>A rule without a name gets one, so that reports and answers can name it.</summary>
    private static string NewId() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    private static void Write(S3XmlWriter xml, LifecycleConfiguration setting)
    {
        foreach (var rule in setting.Rules)
        {
            xml.Start("Rule"u8);
            xml.Element("ID"u8, rule.Id);
            WriteFilter(xml, rule);
            xml.Element("Status"u8, rule.IsEnabled ? "Enabled" : "Disabled");
            if (rule.Expiration is { } expiration)
            {
                xml.Start("Expiration"u8);
                if (expiration.Days is { } days) xml.Element("Days"u8, days);
                if (expiration.Date is { } date) xml.Element("Date"u8, date);
                if (expiration.ExpiredDeleteMarker is { } marker) xml.Element("ExpiredObjectDeleteMarker"u8, marker);
                xml.End("Expiration"u8);
            }
            foreach (var step in rule.Transitions)
            {
                xml.Start("Transition"u8);
                if (step.Days is { } days) xml.Element("Days"u8, days);
                if (step.Date is { } date) xml.Element("Date"u8, date);
                xml.Element("StorageClass"u8, step.StorageClass);
                xml.End("Transition"u8);
            }
            if (rule.NoncurrentExpiration is { } noncurrent)
            {
                xml.Start("NoncurrentVersionExpiration"u8);
                xml.Element("NoncurrentDays"u8, noncurrent.Days);
                if (noncurrent.Newer is { } newer) xml.Element("NewerNoncurrentVersions"u8, newer);
                xml.End("NoncurrentVersionExpiration"u8);
            }
            foreach (var step in rule.NoncurrentTransitions)
            {
                xml.Start("NoncurrentVersionTransition"u8);
                xml.Element("NoncurrentDays"u8, step.Days);
                if (step.Newer is { } newer) xml.Element("NewerNoncurrentVersions"u8, newer);
                xml.Element("StorageClass"u8, step.StorageClass);
                xml.End("NoncurrentVersionTransition"u8);
            }
            if (rule.AbortUploadsAfterDays is { } abort)
            {
                xml.Start("AbortIncompleteMultipartUpload"u8);
                xml.Element("DaysAfterInitiation"u8, abort);
                xml.End("AbortIncompleteMultipartUpload"u8);
            }
            xml.End("Rule"u8);
        }
    }

    private static void WriteFilter(S3XmlWriter xml, LifecycleRule rule)
    {
        var filter = rule.Filter;
        if (rule.HasLegacyPrefix)
        {
            xml.Element("Prefix"u8, filter.Prefix);
            return;
        }
        var several = (filter.Prefix is null ? 0 : 1) + filter.Tags.Length + (filter.SizeGreaterThan is null ? 0 : 1) + (filter.SizeLessThan is null ? 0 : 1) > 1;
        xml.Start("Filter"u8);
        if (several) xml.Start("And"u8);
        if (filter.Prefix is not null) xml.Element("Prefix"u8, filter.Prefix);
        foreach (var (key, value) in filter.Tags)
        {
            xml.Start("Tag"u8);
            xml.Element("Key"u8, key);
            xml.Element("Value"u8, value);
            xml.End("Tag"u8);
        }
        if (filter.SizeGreaterThan is { } more) xml.Element("ObjectSizeGreaterThan"u8, more);
        if (filter.SizeLessThan is { } less) xml.Element("ObjectSizeLessThan"u8, less);
        if (several) xml.End("And"u8);
        xml.End("Filter"u8);
    }
}
