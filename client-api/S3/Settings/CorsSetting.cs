using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Cors;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketCors, PutBucketCors, DeleteBucketCors.</summary>
internal static class CorsSetting
{
    private static readonly string[] Methods = ["GET", "PUT", "POST", "DELETE", "HEAD"];

    public static readonly BucketSetting<CorsConfiguration> Setting = new()
    {
        Kind = BucketSettings.Cors,
        Root = "CORSConfiguration",
        Missing = S3Error.NoSuchCorsConfiguration,
        GetAction = S3Action.GetBucketCors,
        PutAction = S3Action.PutBucketCors,
        Read = Read,
        Write = Write,
    };

    private static CorsConfiguration Read(S3Element document)
    {
        var rules = document.Allow("CORSRule").Children.Select(ReadRule).ToImmutableArray();
        return rules.Length is > 0 and <= CorsConfiguration.RulesMax ? new(rules) : throw S3Element.Malformed();
    }

    private static CorsRule ReadRule(S3Element rule)
    {
        rule.Allow("ID", "AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds");
        var (origins, methods, headers) = (Texts(rule, "AllowedOrigin"), Texts(rule, "AllowedMethod"), Texts(rule, "AllowedHeader"));
        if (origins.IsEmpty || methods.IsEmpty || rule.TextOf("ID") is { Length: > 255 }) throw S3Element.Malformed();
        foreach (var method in methods)
        {
            if (!Methods.Contains(method)) throw new S3Exception(S3Error.InvalidRequest, $"Found unsupported HTTP method in CORS config. Unsupported method is {method}");
        }
        foreach (var origin in origins)
        {
            if (origin.Count(c => c == '*') > 1) throw new S3Exception(S3Error.InvalidRequest, $"AllowedOrigin \"{origin}\" can not have more than one wildcard.");
        }
        foreach (var header in headers)
        {
            if (header.Count(c => c == '*') > 1) throw new S3Exception(S3Error.InvalidRequest, $"AllowedHeader \"{header}\" can not have more than one wildcard.");
        }
        var exposed = Texts(rule, "ExposeHeader");
        if (exposed.FirstOrDefault(h => h.Contains('*', StringComparison.Ordinal)) is { } wild)
            throw new S3Exception(S3Error.InvalidRequest, $"ExposeHeader \"{wild}\" contains wildcard. We currently do not support wildcard for ExposeHeader.");
        var seconds = rule.Int32Of("MaxAgeSeconds");
        return new(rule.TextOf("ID"), origins, methods, headers, exposed, seconds is < 0 ? throw S3Element.Malformed() : seconds);
    }

    private static void Write(S3XmlWriter xml, CorsConfiguration setting)
    {
        foreach (var rule in setting.Rules)
        {
            xml.Start("CORSRule"u8);
            if (rule.Id is not null) xml.Element("ID"u8, rule.Id);
            foreach (var origin in rule.AllowedOrigins) xml.Element("AllowedOrigin"u8, origin);
            foreach (var method in rule.AllowedMethods) xml.Element("AllowedMethod"u8, method);
            foreach (var header in rule.AllowedHeaders) xml.Element("AllowedHeader"u8, header);
            foreach (var header in rule.ExposeHeaders) xml.Element("ExposeHeader"u8, header);
            if (rule.MaxAgeSeconds is { } seconds) xml.Element("MaxAgeSeconds"u8, seconds);
            xml.End("CORSRule"u8);
        }
    }

    /// <summary>They go into headers of answers, so they are what a header can hold.</summary>
    private static ImmutableArray<string> Texts(S3Element rule, string name) =>
        [.. rule.All(name).Select(e => e.Leaf().Trim() is { Length: > 0 and <= 1024 } text && text.All(c => c is > ' ' and < '\u007f') ? text : throw S3Element.Malformed())];
}
