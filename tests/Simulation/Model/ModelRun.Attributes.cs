using System.Globalization;
using DarkStorage.TestKit;

namespace DarkStorage.Simulation.Model;

/// <remarks>What changes of a version that stays: tags and locks.</remarks>
internal sealed partial class ModelRun
{
    private static readonly string[][] TagSets = [[], ["color=blue"], ["color=red", "n=3"]];

    /// <summary>The year of the earliest time that a story retains a version until.</summary>
    private const int RetainedUntil = 2100;

    /// <summary>What a write says of its version besides the content.</summary>
    /// <param name="Tags">Null where it says nothing of them.</param>
    private sealed record Attributes(string[]? Tags, RetentionModel? Retention, bool Hold)
    {
        public static readonly Attributes None = new(null, null, false);

        public bool IsLock => Hold || Retention is not null;

        public void Apply(VersionModel version)
        {
            if (Tags is not null) version.Tags = Tags;
            if (Retention is not null) version.Retention = Retention;
            version.Hold = Hold;
        }
    }

    private Attributes AnyAttributes(RawRequest request)
    {
        if (!_isVersioned) return Attributes.None;
        var tags = _random.Next(4) == 0 ? TagSets[_random.Next(1, TagSets.Length)] : null;
        if (tags is not null) request.With("x-amz-tagging", string.Join('&', tags));
        var locks = _random.Next(_model is { Locks: true } ? 4 : 40) == 0;
        var hold = locks && _random.Next(3) == 0;
        var retention = locks && !hold ? AnyRetention() : null;
        if (hold) request.With("x-amz-object-lock-legal-hold", "ON");
        if (retention is not null) request.With("x-amz-object-lock-mode", retention.Mode).With("x-amz-object-lock-retain-until-date", Text(retention.Until!.Value));
        return new(tags, retention, hold);
    }

    private RetentionModel AnyRetention() => new(IsCompliance: _random.Next(3) == 0, new(RetainedUntil + _random.Next(3), 1, 1, 0, 0, 0, TimeSpan.Zero));

    private static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    /// <summary>What the headers of a read say of a version's tags and locks.</summary>
    private static void SameAttributes(VersionModel version, RawAnswer answer)
    {
        Same("x-amz-tagging-count", version.Tags.Count > 0 ? version.Tags.Count.ToString(CultureInfo.InvariantCulture) : null, answer.Header("x-amz-tagging-count"));
        Same("x-amz-object-lock-legal-hold", version.Hold ? "ON" : null, answer.Header("x-amz-object-lock-legal-hold"));
        Same("x-amz-object-lock-mode", version.Retention?.Mode, answer.Header("x-amz-object-lock-mode"));
        if (version.Retention is not { Until: null }) Same("x-amz-object-lock-retain-until-date", version.Retention is { Until: { } until } ? Text(until) : null, answer.Header("x-amz-object-lock-retain-until-date"));
    }

    private async Task TagAsync()
    {
        var method = _random.Next(5) switch { 0 or 1 => "PUT", 2 => "DELETE", _ => "GET" };
        var (request, version) = await FindAsync(method, AnyKey(), "tagging");
        if (request is null || version is null) return;
        var tags = TagSets[_random.Next(TagSets.Length)];
        if (method == "PUT") request.WithBody($"<Tagging><TagSet>{string.Concat(tags.Select(t => t.Split('=')).Select(t => $"<Tag><Key>{t[0]}</Key><Value>{t[1]}</Value></Tag>"))}</TagSet></Tagging>");
        var answer = await SendAsync(request, method == "DELETE" ? NoContent : Ok);
        SameVersion(version, answer);
        if (method == "GET") Same("Tags", string.Join('&', version.Tags), string.Join('&', Xml(answer).Descendants("Tag").Select(t => $"{Text(t, "Key", false)}={Text(t, "Value", false)}").Order(StringComparer.Ordinal)));
        else version.Tags = method == "PUT" ? tags : [];
    }

    private async Task HoldAsync()
    {
        var method = _random.Next(2) == 0 ? "PUT" : "GET";
        var (request, version) = await FindAsync(method, AnyKey(), "legal-hold");
        if (request is null || version is null) return;
        // Less is held than is let go, or soon nothing could be removed.
        var hold = _random.Next(3) == 0;
        if (method == "PUT") request.WithBody($"<LegalHold><Status>{(hold ? "ON" : "OFF")}</Status></LegalHold>");
        var answer = await SendAsync(request, _model!.Locks ? Ok : InvalidRequest);
        if (!_model.Locks) return;
        if (method == "PUT") version.Hold = hold;
        else Same("Status", version.Hold ? "ON" : "OFF", Xml(answer).Element("Status")?.Value);
    }

    private async Task RetainAsync()
    {
        var method = _random.Next(3) > 0 ? "PUT" : "GET";
        var (request, version) = await FindAsync(method, AnyKey(), "retention");
        if (request is null || version is null) return;
        var wanted = _random.Next(3) == 0 ? null : AnyRetention();
        var bypass = method == "PUT" && _random.Next(2) == 0;
        if (bypass) request.With("x-amz-bypass-governance-retention", "true");
        if (method == "PUT") request.WithBody($"<Retention>{(wanted is null ? "" : $"<Mode>{wanted.Mode}</Mode><RetainUntilDate>{Text(wanted.Until!.Value)}</RetainUntilDate>")}</Retention>");
        var expected = !_model!.Locks ? InvalidRequest
            : method == "GET" ? version.Retention is null ? (404, "NoSuchObjectLockConfiguration") : Ok
            : MayRetain(version.Retention, wanted, bypass) ? Ok : AccessDenied;
        var answer = await SendAsync(request, expected);
        if (expected != Ok) return;
        if (method == "PUT") version.Retention = wanted;
        else
        {
            Same("Mode", version.Retention!.Mode, Xml(answer).Element("Mode")?.Value);
            if (version.Retention.Until is { } until) Same("RetainUntilDate", Text(until), Xml(answer).Element("RetainUntilDate")?.Value);
        }
    }

    /// <summary>Compliance can only be made longer; governance also stricter, and by who bypasses it anything.</summary>
    private static bool MayRetain(RetentionModel? now, RetentionModel? wanted, bool bypass)
    {
        if (now is null || !now.IsCompliance && bypass) return true;
        if (wanted is null || now.IsCompliance && !wanted.IsCompliance) return false;
        return now.Until is null || wanted.Until >= now.Until;
    }

    /// <summary>Turns object lock on, or sets the retention that new versions get.</summary>
    private async Task SetObjectLockAsync()
    {
        var retention = _random.Next(2) == 0 ? null : new RetentionModel(IsCompliance: false, null);
        var rule = retention is null ? "" : $"<Rule><DefaultRetention><Mode>{retention.Mode}</Mode><Days>1</Days></DefaultRetention></Rule>";
        var expected = _model switch { null => NoSuchBucket, { Versioning: VersioningModel.Enabled } => Ok, _ => InvalidBucketState };
        await SendAsync(new RawRequest("PUT", $"/{_bucket}?object-lock").WithBody($"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"), expected);
        if (expected == Ok) (_model!.Locks, _model.DefaultRetention) = (true, retention);
    }
}
