using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Website;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketWebsite, PutBucketWebsite, DeleteBucketWebsite.</summary>
internal static class WebsiteSetting
{
    public static readonly BucketSetting<WebsiteConfiguration> Setting = new()
    {
        Kind = BucketSettings.Website,
        Root = "WebsiteConfiguration",
        Missing = S3Error.NoSuchWebsiteConfiguration,
        GetAction = S3Action.GetBucketWebsite,
        PutAction = S3Action.PutBucketWebsite,
        DeleteAction = S3Action.DeleteBucketWebsite,
        BytesMax = 128 << 10,
        Read = Read,
        Write = Write,
    };

    private static WebsiteConfiguration Read(S3Element document)
    {
        document.Allow("IndexDocument", "ErrorDocument", "RedirectAllRequestsTo", "RoutingRules");
        if (document.Find("RedirectAllRequestsTo") is { } all)
        {
            if (document.Children.Count > 1) throw S3Element.Malformed();
            all.Allow("HostName", "Protocol");
            return new(null, null, new(Host(all.RequireText("HostName")), Protocol(all), null, null, null), []);
        }
        var suffix = document.Require("IndexDocument").Allow("Suffix").RequireText("Suffix");
        if (suffix.Contains('/', StringComparison.Ordinal)) throw S3Exception.InvalidArgument("The IndexDocument Suffix is not well formed", "IndexDocument", suffix);
        var error = document.Find("ErrorDocument")?.Allow("Key").RequireText("Key");
        var rules = document.Find("RoutingRules")?.Allow("RoutingRule").Children.Select(ReadRule).ToImmutableArray() ?? [];
        if (rules.Length > WebsiteConfiguration.RulesMax)
            throw new S3Exception(S3Error.InvalidRequest, $"{rules.Length} routing rules provided, the number of routing rules in a website configuration is limited to {WebsiteConfiguration.RulesMax}.");
        return new(suffix, error, null, rules);
    }

    private static RoutingRule ReadRule(S3Element rule)
    {
        rule.Allow("Condition", "Redirect");
        var condition = rule.Find("Condition")?.Allow("KeyPrefixEquals", "HttpErrorCodeReturnedEquals");
        if (condition is { Children.Count: 0 }) throw S3Element.Malformed();
        var status = condition?.Int32Of("HttpErrorCodeReturnedEquals");
        if (status is not null and not (>= 400 and <= 599)) throw new S3Exception(S3Error.InvalidRequest, "The provided HTTP error code (HttpErrorCodeReturnedEquals) is not valid. Valid codes are 4XX or 5XX.");
        var redirect = rule.Require("Redirect").Allow("HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith");
        if (redirect.Children.Count == 0) throw S3Element.Malformed();
        var code = redirect.Int32Of("HttpRedirectCode");
        if (code is not null and not (> 300 and <= 399)) throw new S3Exception(S3Error.InvalidRequest, "The provided HTTP redirect code (HttpRedirectCode) is not valid. Valid codes are 3XX except 300.");
        var (prefix, key) = (redirect.RawTextOf("ReplaceKeyPrefixWith"), redirect.RawTextOf("ReplaceKeyWith"));
        if (prefix is not null && key is not null) throw new S3Exception(S3Error.InvalidRequest, "You can only define ReplaceKeyPrefix or ReplaceKey but not both.");
        var host = redirect.TextOf("HostName");
        return new(condition?.RawTextOf("KeyPrefixEquals"), status, new(host is null ? null : Host(host), Protocol(redirect), code, prefix, key));
    }

    private static void Write(S3XmlWriter xml, WebsiteConfiguration setting)
    {
        if (setting.RedirectAll is { } all)
        {
            xml.Start("RedirectAllRequestsTo"u8);
            WriteTarget(xml, all);
            xml.End("RedirectAllRequestsTo"u8);
            return;
        }
        xml.Start("IndexDocument"u8);
        xml.Element("Suffix"u8, setting.IndexSuffix);
        xml.End("IndexDocument"u8);
        if (setting.ErrorKey is not null)
        {
            xml.Start("ErrorDocument"u8);
            xml.Element("Key"u8, setting.ErrorKey);
            xml.End("ErrorDocument"u8);
        }
        if (setting.Rules.IsEmpty) return;
        xml.Start("RoutingRules"u8);
        foreach (var rule in setting.Rules)
        {
            xml.Start("RoutingRule"u8);
            if (rule.KeyPrefix is not null || rule.ErrorStatus is not null)
            {
                xml.Start("Condition"u8);
                if (rule.KeyPrefix is not null) xml.Element("KeyPrefixEquals"u8, rule.KeyPrefix);
                if (rule.ErrorStatus is { } status) xml.Element("HttpErrorCodeReturnedEquals"u8, status);
                xml.End("Condition"u8);
            }
            xml.Start("Redirect"u8);
            WriteTarget(xml, rule.Redirect);
            xml.End("Redirect"u8);
            xml.End("RoutingRule"u8);
        }
        xml.End("RoutingRules"u8);
    }

    private static void WriteTarget(S3XmlWriter xml, RedirectTarget target)
    {
        if (target.Host is not null) xml.Element("HostName"u8, target.Host);
        if (target.Protocol is not null) xml.Element("Protocol"u8, target.Protocol);
        if (target.Status is { } status) xml.Element("HttpRedirectCode"u8, status);
        if (target.KeyPrefix is not null) xml.Element("ReplaceKeyPrefixWith"u8, target.KeyPrefix);
        if (target.Key is not null) xml.Element("ReplaceKeyWith"u8, target.Key);
    }

    private static string? Protocol(S3Element element) => element.TextOf("Protocol") switch
    {
        null => null,
        "http" or "https" => element.TextOf("Protocol"),
        _ => throw new S3Exception(S3Error.InvalidRequest, "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically."),
    };

    /// <summary>It goes into a Location header.</summary>
    private static string Host(string text) =>
        text.Length <= 255 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or ':' or '_' or '[' or ']') ? text : throw S3Exception.InvalidArgument("The host name is not valid.", "HostName", text.Length <= 255 ? text : text[..255]);
}
