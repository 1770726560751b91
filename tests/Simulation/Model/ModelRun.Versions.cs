using System.Globalization;
using System.Xml.Linq;
using DarkStorage.TestKit;

namespace DarkStorage.Simulation.Model;

/// <remarks>Versions: how they come, how they are named, listed and removed.</remarks>
internal sealed partial class ModelRun
{
    private const string UnknownId = "0123456789abcdef0123456789abcdef";
    private const string Nonsense = "nonsense";
    private const string OtherETag = "00000000000000000000000000000000";
    private const string LongAgo = "Sat, 29 Oct 1994 19:43:31 GMT";

    /// <summary>Every id that the node ever chose: none comes twice.</summary>
    private readonly HashSet<string> _ids = [];

    /// <remarks>Where there are locks, every third step is about them: most of their rules are about a version that has one.</remarks>
    private Task VersionStepAsync() => (_model is { Locks: true } && _random.Next(3) == 0 ? _random.Next(82, 98) : _random.Next(100)) switch
    {
        < 22 => SetVersioningAsync(),
        < 45 => ListVersionsAsync(),
        < 67 => DeleteAsync(),
        < 82 => TagAsync(),
        < 90 => HoldAsync(),
        < 98 => RetainAsync(),
        _ => SetObjectLockAsync(),
    };

    private async Task SetVersioningAsync()
    {
        var wanted = _random.Next(3) == 0 ? VersioningModel.Suspended : VersioningModel.Enabled;
        var expected = _model switch { null => NoSuchBucket, { Locks: true } when wanted == VersioningModel.Suspended => InvalidBucketState, _ => Ok };
        await SendAsync(new RawRequest("PUT", $"/{_bucket}?versioning").WithBody($"<VersioningConfiguration><Status>{wanted}</Status></VersioningConfiguration>"), expected);
        if (expected == Ok) _model!.Versioning = wanted;
        if (_model is null) return;
        var answer = await SendAsync(new("GET", $"/{_bucket}?versioning"), Ok);
        Same("Status", _model.Versioning == VersioningModel.Off ? null : _model.Versioning.ToString(), Xml(answer).Element("Status")?.Value);
    }

    /// <summary>The id of what a request made, which must be one that fits the bucket's versioning.</summary>
    private string NewId(RawAnswer answer)
    {
        var id = answer.Header("x-amz-version-id");
        if (_model!.Versioning != VersioningModel.Enabled)
        {
            Same("x-amz-version-id", _model.Versioning == VersioningModel.Off ? null : VersionModel.NullId, id);
            return VersionModel.NullId;
        }
        if (id is null or VersionModel.NullId || !_ids.Add(id)) throw new ModelException($"A new id is expected, and the answer has '{id}'");
        return id;
    }

    private void SameVersion(VersionModel? version, RawAnswer answer) => Same("x-amz-version-id", _model!.Versioning == VersioningModel.Off ? null : version?.Id, answer.Header("x-amz-version-id"));

    /// <summary>What a request names as the version, if it names one.</summary>
    private string? AnyVersionId(string key)
    {
        if (!_isVersioned || _model is null) return null;
        var own = _model.VersionsOf(key);
        return _random.Next(12) switch
        {
            0 => UnknownId,
            1 => _random.Next(4) == 0 ? Nonsense : VersionModel.NullId,
            2 => _model.VersionsOf(AnyKey()) is { Count: > 0 } others ? others[0].Id : null,
            < 8 when own.Count > 0 => own[_random.Next(own.Count)].Id,
            _ => null,
        };
    }

    private static string WithVersion(string target, string id) => $"{target}{(target.Contains('?', StringComparison.Ordinal) ? '&' : '?')}versionId={id}";

    /// <param name="id">Null for the version that readers get.</param>
    /// <returns>The version, which may be a delete marker, and what a read of it is answered with.</returns>
    private (VersionModel? Version, (int Status, string Code) Expected) Look(string key, string? id)
    {
        if (_model is null) return (null, NoSuchBucket);
        if (id is null) return _model.Find(key) is { } current ? (current, Ok) : (_model.Latest(key), NoSuchKey);
        if (id == Nonsense) return (null, InvalidArgument);
        return _model.Find(key, id) is not { } version ? (null, NoSuchVersion) : (version, version.Object is null ? MethodNotAllowed : Ok);
    }

    /// <summary>A request to a key's object or to one of its versions. Where there is none, the request is sent as it is and its refusal compared.</summary>
    /// <returns>Nothing where it was refused.</returns>
    private async Task<(RawRequest? Request, VersionModel? Version)> FindAsync(string method, string key, string subresource)
    {
        var id = AnyVersionId(key);
        var target = Target(key) + (subresource.Length > 0 ? $"?{subresource}" : "");
        var request = new RawRequest(method, id is null ? target : WithVersion(target, id));
        var (version, expected) = Look(key, id);
        if (expected == Ok) return (request, version);
        var answer = await SendAsync(request, expected);
        Same("x-amz-delete-marker", version is null ? null : "true", answer.Header("x-amz-delete-marker"));
        Same("x-amz-version-id", version?.Id, answer.Header("x-amz-version-id"));
        return default;
    }

    /// <summary>Makes a request a copy from a key.</summary>
    private (VersionModel? Source, (int Status, string Code) Expected) AnySource(RawRequest request, string key)
    {
        var id = AnyVersionId(key);
        request.With("x-amz-copy-source", $"{(_random.Next(2) == 0 ? "/" : "")}{_bucket}/{NastyKeys.Escape(key)}{(id is null ? "" : $"?versionId={id}")}");
        var (version, expected) = Look(key, id);
        return (version, expected == MethodNotAllowed ? InvalidRequest : expected);
    }

    private async Task DeleteAsync()
    {
        var key = AnyKey();
        var id = AnyVersionId(key);
        var request = new RawRequest("DELETE", id is null ? Target(key) : WithVersion(Target(key), id));
        if (_model is null || id == Nonsense)
        {
            await SendAsync(request, _model is null ? NoSuchBucket : InvalidArgument);
            return;
        }
        var bypass = _model.Locks && _random.Next(2) == 0;
        if (bypass) request.With("x-amz-bypass-governance-retention", "true");
        var version = id is null ? _model.Latest(key) : _model.Find(key, id);
        var expected = DeleteCondition(request, version?.Object);
        var marks = id is null && _model.Versioning != VersioningModel.Off;
        if (expected == NoContent && !marks && version?.IsKept(bypass) == true) expected = AccessDenied;
        var answer = await SendAsync(request, expected);
        if (answer.Status != 204) return;
        if (marks)
        {
            Same("x-amz-delete-marker", "true", answer.Header("x-amz-delete-marker"));
            _model.Add(key, NewId(answer), null);
            return;
        }
        Same("x-amz-version-id", _model.Versioning == VersioningModel.Off ? null : id, answer.Header("x-amz-version-id"));
        Same("x-amz-delete-marker", version is { Object: null } ? "true" : null, answer.Header("x-amz-delete-marker"));
        if (version is not null) _model.Remove(key, version);
    }

    /// <summary>Gives some deletes a condition.</summary>
    /// <param name="content">Of what is to be deleted; null where that is nothing, or a delete marker.</param>
    private (int Status, string Code) DeleteCondition(RawRequest request, ObjectModel? content)
    {
        switch (_random.Next(16))
        {
            case 0:
                request.With("If-Match", $"\"{OtherETag}\"");
                return content is null ? NoSuchKey : PreconditionFailed;
            case 1:
                request.With("If-Match", content is null || _random.Next(2) == 0 ? "*" : $"\"{content.ETag}\"");
                return content is null ? NoSuchKey : NoContent;
            case 2:
                var differs = _random.Next(2);
                request.With("x-amz-if-match-size", ((content?.Bytes.Length ?? 0) + differs).ToString(CultureInfo.InvariantCulture));
                return differs == 0 || content is null ? NoContent : PreconditionFailed;
            case 3:
                request.With("x-amz-if-match-last-modified-time", LongAgo);
                return content is null ? NoContent : PreconditionFailed;
            default: return NoContent;
        }
    }

    /// <summary>An entry of a delete of many.</summary>
    /// <param name="ETag">Its condition, or null.</param>
    private sealed record Deletion(string Key, string? Id, string? ETag);

    /// <remarks>The node takes the entries in any order, so in stories of versions no two of them depend on each other.</remarks>
    private async Task DeleteManyAsync()
    {
        var quiet = _random.Next(3) == 0;
        var bypass = _model is { Locks: true } && _random.Next(2) == 0;
        var keys = Enumerable.Range(0, _random.Next(1, 6)).Select(_ => AnyKey()).ToList();
        var deletions = (_isVersioned ? keys.Distinct() : keys).SelectMany(AnyDeletions).ToList();
        var entries = deletions.Select(d => $"<Object><Key>{XmlEscape(d.Key)}</Key>{(d.Id is null ? "" : $"<VersionId>{d.Id}</VersionId>")}{(d.ETag is null ? "" : $"<ETag>{d.ETag}</ETag>")}</Object>");
        var request = new RawRequest("POST", $"/{_bucket}?delete")
            .WithBody($"<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>{(quiet ? "true" : "false")}</Quiet>{string.Concat(entries)}</Delete>");
        if (bypass) request.With("x-amz-bypass-governance-retention", "true");
        var answer = await SendAsync(request, _model is null ? NoSuchBucket : Ok);
        if (_model is null) return;
        var shown = new Queue<XElement>(Xml(answer).Elements().Where(e => e.Name.LocalName is "Deleted" or "Error"));
        foreach (var deletion in deletions)
        {
            var (code, marker, makesMarker) = Delete(deletion, bypass);
            var entry = code is null && quiet ? null : shown.Count > 0 ? shown.Dequeue() : throw new ModelException($"Nothing is said of {deletion}");
            if (entry is not null)
            {
                Same("Entry", code is null ? "Deleted" : "Error", entry.Name.LocalName);
                Same("Key", deletion.Key, entry.Element("Key")?.Value);
                Same("VersionId", deletion.Id, entry.Element("VersionId")?.Value);
                Same("Code", code, entry.Element("Code")?.Value);
                Same("DeleteMarker", makesMarker || marker is not null ? "true" : null, entry.Element("DeleteMarker")?.Value);
                if (!makesMarker) Same("DeleteMarkerVersionId", marker, entry.Element("DeleteMarkerVersionId")?.Value);
            }
            if (!makesMarker) continue;
            // A marker whose making was not told has its id from who looks for the object.
            var look = await SendAsync(new("GET", Target(deletion.Key)), NoSuchKey);
            var id = NewId(look);
            if (entry is not null) Same("DeleteMarkerVersionId", entry.Element("DeleteMarkerVersionId")?.Value, id);
            _model.Add(deletion.Key, id, null);
        }
        Same("Entries left", 0, shown.Count);
    }

    private IEnumerable<Deletion> AnyDeletions(string key)
    {
        if (AnyVersionId(key) is not { } id)
        {
            var etag = _isVersioned && _random.Next(5) == 0 ? _model?.Find(key)?.Object is { } current && _random.Next(2) == 0 ? current.ETag : OtherETag : null;
            return [new(key, null, etag)];
        }
        return _model!.VersionsOf(key).Select(v => v.Id).FirstOrDefault(other => other != id) is { } second && _random.Next(2) == 0
            ? [new(key, id, null), new(key, second, null)]
            : [new(key, id, null)];
    }

    /// <returns>The error's code, or null; the marker that was removed; whether one is made, which the caller adds.</returns>
    private (string? Code, string? Marker, bool MakesMarker) Delete(Deletion deletion, bool bypass)
    {
        if (deletion.Id == Nonsense) return (NoSuchVersion.Code, null, false);
        var version = deletion.Id is null ? _model!.Latest(deletion.Key) : _model!.Find(deletion.Key, deletion.Id);
        if (deletion.ETag is { } etag)
        {
            if (version?.Object is not { } content) return default;
            if (content.ETag != etag) return (PreconditionFailed.Code, null, false);
        }
        if (deletion.Id is null && _model.Versioning != VersioningModel.Off) return (null, null, true);
        if (version is null) return default;
        if (version.IsKept(bypass)) return (AccessDenied.Code, null, false);
        _model.Remove(deletion.Key, version);
        return (null, version.Object is null ? version.Id : null, false);
    }

    private async Task ListVersionsAsync()
    {
        var (prefix, delimiter, after, max) = AnyListing();
        if (_random.Next(12) == 0)
        {
            var (key, id) = _random.Next(2) == 0 ? ("", VersionModel.NullId) : ("key", Nonsense);
            await SendAsync(new("GET", $"/{_bucket}?versions&key-marker={key}&version-id-marker={id}"), _model is null ? NoSuchBucket : InvalidArgument);
            return;
        }
        VersionModel? version = null;
        if (_model is not null && _random.Next(3) == 0 && _model.VersionsOf(AnyKey()) is { Count: > 0 } versions)
        {
            version = versions[_random.Next(versions.Count)];
            after = _model.Versions.First(v => v.Version == version).Key;
        }
        await CompareVersionsAsync(prefix, delimiter, after, version, max);
    }

    /// <param name="version">Of the key that the listing begins behind; null to begin behind all of its versions.</param>
    private async Task CompareVersionsAsync(string prefix, string delimiter, string after, VersionModel? version, int max)
    {
        var target = string.Create(CultureInfo.InvariantCulture, $"/{_bucket}?versions&max-keys={max}&prefix={Uri.EscapeDataString(prefix)}");
        if (delimiter.Length > 0) target += $"&delimiter={Uri.EscapeDataString(delimiter)}";
        var encoded = _random.Next(2) == 0;
        if (encoded) target += "&encoding-type=url";
        var mark = after.Length == 0 ? "" : $"&key-marker={Uri.EscapeDataString(after)}{(version is null ? "" : $"&version-id-marker={version.Id}")}";
        var order = version?.Order;
        for (var pages = 0; pages < PagesMax; pages++)
        {
            var answer = await SendAsync(new("GET", target + mark), _model is null ? NoSuchBucket : Ok);
            if (_model is null) return;
            var xml = Xml(answer);
            var expected = _model.ListVersions(prefix, delimiter, after, order, max);
            var shown = xml.Elements().Where(e => e.Name.LocalName is "Version" or "DeleteMarker")
                .Select(e => new EntryModel(Text(e, "Key", encoded), false, $"{Text(e, "VersionId", false)} {Text(e, "IsLatest", false)} {ContentOf(e)}"))
                .Concat(xml.Elements("CommonPrefixes").Select(e => new EntryModel(Text(e, "Prefix", encoded), true, "")));
            SameEntries(expected.Entries.OrderBy(e => e.IsPrefix), shown);
            Same("IsTruncated", expected.Next is null ? "false" : "true", Text(xml, "IsTruncated", false));
            if (expected.Next is null) return;
            (after, order) = (expected.Next, expected.Last?.Order);
            Same("NextKeyMarker", after, Text(xml, "NextKeyMarker", encoded));
            var next = xml.Element("NextVersionIdMarker")?.Value;
            Same("NextVersionIdMarker is given", expected.Last is not null, next is not null);
            mark = $"&key-marker={Uri.EscapeDataString(after)}{(next is null ? "" : $"&version-id-marker={Uri.EscapeDataString(next)}")}";
            // Who empties a bucket removes what the page ended with, and goes on behind it.
            if (expected.Last is not { } last || last.IsKept(bypass: false) || _random.Next(5) > 0) continue;
            await SendAsync(new("DELETE", WithVersion(Target(after), last.Id)), NoContent);
            _model.Remove(after, last);
        }
        throw new ModelException("The listing of versions does not end.");

        static string ContentOf(XElement entry) =>
            entry.Name.LocalName == "DeleteMarker" ? "delete marker" : $"{Text(entry, "Size", false)} {Text(entry, "ETag", false).Trim('"')}";
    }
}
