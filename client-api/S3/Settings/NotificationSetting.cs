using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.Rules.Notifications;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketNotificationConfiguration, PutBucketNotificationConfiguration. An empty document takes the notifications away.</summary>
internal static class NotificationSetting
{
    private const int IdLengthMax = 255;
    private const int ArnLengthMax = 512;
    private const int KeyLengthMax = 1024;
    private const string EventBridge = "EventBridgeConfiguration";

    /// <summary>The kinds of targets: the element of a rule, the one in it that names the target, and the ARN's service.</summary>
    private static readonly (NotificationKind Kind, string Element, string Target)[] Kinds =
    [
        (NotificationKind.Topic, "TopicConfiguration", "Topic"),
        (NotificationKind.Queue, "QueueConfiguration", "Queue"),
        (NotificationKind.CloudFunction, "CloudFunctionConfiguration", "CloudFunction"),
    ];

    public static readonly BucketSetting<NotificationConfiguration> Setting = new()
    {
        Kind = BucketSettings.Notification,
        Root = "NotificationConfiguration",
        Missing = null,
        GetAction = S3Action.GetBucketNotification,
        PutAction = S3Action.PutBucketNotification,
        BytesMax = 256 << 10,
        Read = Read,
        Write = Write,
        Check = CheckTargetsAsync,
    };

    private static NotificationConfiguration Read(S3Element document)
    {
        document.Allow([.. Kinds.Select(k => k.Element), EventBridge]);
        var rules = Kinds.SelectMany(kind => document.All(kind.Element).Select(rule => ReadRule(rule, kind.Kind, kind.Target))).ToImmutableArray();
        if (rules.Length > NotificationConfiguration.RulesMax) throw S3Element.Malformed();
        if (rules.Select(r => r.Id).Distinct(StringComparer.Ordinal).Count() != rules.Length)
            throw S3Exception.InvalidArgument("Same ID used for multiple configurations. ID must be unique across all configurations", "Id", "");
        return new(rules, document.Find(EventBridge) is not null);
    }

    private static NotificationRule ReadRule(S3Element rule, NotificationKind kind, string target)
    {
        rule.Allow("Id", target, "Event", "Filter");
        var id = rule.TextOf("Id") is { Length: > 0 } given ? given : Guid.NewGuid().ToString();
        if (id.Length > IdLengthMax) throw S3Exception.InvalidArgument("ID length should not exceed allowed limit of 255", "Id", id);
        var events = rule.All("Event").Select(e => e.Leaf().Trim()).Distinct(StringComparer.Ordinal).ToImmutableArray();
        if (events.IsEmpty) throw S3Element.Malformed();
        foreach (var name in events)
        {
            if (!EventNames.IsKnown(name)) throw S3Exception.InvalidArgument("The event is not supported for notifications", "Event", name.Length <= 128 ? name : name[..128]);
        }
        var arn = rule.RequireText(target);
        if (arn.Length > ArnLengthMax || !arn.StartsWith("arn:", StringComparison.Ordinal) || arn.Split(':').Length < 6 || arn.EndsWith(':'))
            throw S3Exception.InvalidArgument("The ARN could not be parsed", target, arn.Length <= ArnLengthMax ? arn : arn[..ArnLengthMax]);
        var (prefix, suffix) = ReadFilter(rule.Find("Filter"));
        return new(id, kind, arn, events, prefix, suffix);
    }

    private static (string? Prefix, string? Suffix) ReadFilter(S3Element? filter)
    {
        string? prefix = null, suffix = null;
        foreach (var rule in filter?.Allow("S3Key").Find("S3Key")?.Allow("FilterRule").Children ?? [])
        {
            var value = rule.Allow("Name", "Value").RawTextOf("Value") ?? throw S3Element.Malformed();
            if (value.Length > KeyLengthMax) throw S3Exception.InvalidArgument("Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation", "FilterRule", rule.RequireText("Name"));
            switch (rule.RequireText("Name").ToLowerInvariant())
            {
                case "prefix" when prefix is null: prefix = value; break;
                case "suffix" when suffix is null: suffix = value; break;
                case "prefix" or "suffix": throw S3Exception.InvalidArgument("Cannot specify more than one prefix or suffix rule in a filter", "FilterRule", rule.RequireText("Name"));
                default: throw S3Exception.InvalidArgument("filter rule name must be either prefix or suffix", "FilterRule", "Name");
            }
        }
        return (prefix, suffix);
    }

    /// <summary>Each target that is named must be there and, unless the client says otherwise, take a test message now.</summary>
    private static async ValueTask CheckTargetsAsync(S3Request s3, BucketRecord bucket, NotificationConfiguration setting, CancellationToken ct)
    {
        const string unusable = "Unable to validate the following destination configurations";
        var skip = string.Equals(s3.Headers["x-amz-skip-destination-validation"], "true", StringComparison.OrdinalIgnoreCase);
        var test = BucketEvents.Test(bucket.Name, s3.Http.TraceIdentifier, s3.Clock.GetUtcNow());
        // All at one time: one that does not answer takes as long as it may, and a document may name many.
        await Task.WhenAll(setting.Rules.DistinctBy(r => r.TargetName, StringComparer.Ordinal).Select(async rule =>
        {
            var target = s3.Grains.GetGrain<IEventTargetGrain>(rule.TargetName);
            if (await target.FindAsync(ct) is null) throw S3Exception.InvalidArgument(unusable, rule.Target, "There is no event target of this name.");
            if (skip) return;
            var answer = await target.TestAsync(test, ct);
            if (answer.Outcome != EventOutcome.Delivered) throw S3Exception.InvalidArgument(unusable, rule.Target, $"The target did not take a test message: {answer.Detail}.");
        }));
    }

    private static void Write(S3XmlWriter xml, NotificationConfiguration setting)
    {
        foreach (var rule in setting.Rules)
        {
            var (_, element, target) = Kinds.First(k => k.Kind == rule.Kind);
            ReadOnlySpan<byte> name = System.Text.Encoding.UTF8.GetBytes(element);
            xml.Start(name);
            xml.Element("Id"u8, rule.Id);
            xml.Element(System.Text.Encoding.UTF8.GetBytes(target), rule.Target);
            foreach (var configured in rule.Events) xml.Element("Event"u8, configured);
            if (rule.Prefix is not null || rule.Suffix is not null)
            {
                xml.Start("Filter"u8);
                xml.Start("S3Key"u8);
                WriteFilterRule(xml, "prefix", rule.Prefix);
                WriteFilterRule(xml, "suffix", rule.Suffix);
                xml.End("S3Key"u8);
                xml.End("Filter"u8);
            }
            xml.End(name);
        }
        if (!setting.HasEventBridge) return;
        xml.Start("EventBridgeConfiguration"u8);
        xml.End("EventBridgeConfiguration"u8);
    }

    private static void WriteFilterRule(S3XmlWriter xml, string name, string? value)
    {
        if (value is null) return;
        xml.Start("FilterRule"u8);
        xml.Element("Name"u8, name);
        xml.Element("Value"u8, value);
        xml.End("FilterRule"u8);
    }
}
