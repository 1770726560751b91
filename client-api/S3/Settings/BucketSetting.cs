using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Buckets;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>A setting of a bucket that is put, got and deleted as one document: the three operations that S3 has of each.</summary>
/// <remarks>XML is only spoken at this edge; what is kept is the typed record, as JSON, and decisions read that.</remarks>
/// <typeparam name="T">The setting, from <c>DarkStorage.Rules</c>.</typeparam>
internal sealed class BucketSetting<T> where T : class
{
    /// <summary>One of <see cref="BucketSettings"/>.</summary>
    public required string Kind { get; init; }

    /// <summary>The root element.</summary>
    public required string Root { get; init; }

    /// <summary>What is answered where the setting was never made; null answers the empty document.</summary>
    public required S3Error? Missing { get; init; }

    public required string GetAction { get; init; }

    /// <summary>Deleting needs it too, as AWS has it for most settings.</summary>
    public required string PutAction { get; init; }

    public string? DeleteAction { get; init; }

    public required Func<S3Element, T> Read { get; init; }

    /// <summary>Writes what is in the root element.</summary>
    public required Action<S3XmlWriter, T> Write { get; init; }

    /// <summary>What must hold besides the document itself, or null.</summary>
    public Func<S3Request, BucketRecord, T, CancellationToken, ValueTask>? Check { get; init; }

    /// <summary>What a bucket has that was never given the setting, or null.</summary>
    public T? Default { get; init; }

    public int BytesMax { get; init; } = 64 << 10;

    /// <summary>AWS answers 204 to some.</summary>
    public int PutStatus { get; init; } = StatusCodes.Status200OK;

    public async Task GetAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(GetAction, ct);
        var document = bucket.Find(Kind);
        if (document is null && Missing is not null) throw new S3Exception(Missing).With("BucketName", bucket.Name);
        var root = System.Text.Encoding.UTF8.GetBytes(Root);
        await s3.WriteXmlAsync(StatusCodes.Status200OK, xml =>
        {
            xml.StartDocument(root);
            if ((document is null ? Default : SettingJson.Read<T>(document)) is { } setting) Write(xml, setting);
            xml.End(root);
        }, ct);
    }

    public async Task PutAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(PutAction, ct);
        var setting = Read(S3Element.Parse(await s3.ReadDocumentAsync(BytesMax, ct), Root));
        await s3.BucketGrain.DecideAsync(bucket, async current =>
        {
            if (Check is not null) await Check(s3, current, setting, ct);
            return await s3.BucketGrain.SetAsync(current.Id, new(Kind, "", SettingJson.Write(setting), Check is null ? null : current.Revision), ct);
        }, ct);
        s3.Response.StatusCode = PutStatus;
    }

    public async Task DeleteAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(DeleteAction ?? PutAction, ct);
        await s3.BucketGrain.SetAsync(bucket.Id, new(Kind, "", null), ct);
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
