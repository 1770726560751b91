using System.Text;
using DarkStorage.GrainInterfaces.Buckets;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>A setting that is checked against its shape, kept as XML, and answered as it was kept. One for a bucket, or many with ids.</summary>
internal sealed class StoredSetting
{
    private const int BytesMax = 256 << 10;

    /// <summary>AWS lists a hundred at a time.</summary>
    private const int PageMax = 100;

    public required string Kind { get; init; }
    public required XmlShape Shape { get; init; }

    /// <summary>What is answered where the setting was never made; null answers the empty document.</summary>
    public required S3Error? Missing { get; init; }

    public required string GetAction { get; init; }
    public required string PutAction { get; init; }

    /// <summary>The root of a list of them; null where a bucket has one at the most.</summary>
    public string? ListRoot { get; init; }

    /// <summary>What must hold besides the shape, or null.</summary>
    public Action<BucketRecord, S3Element>? Check { get; init; }

    public int PutStatus { get; init; } = StatusCodes.Status200OK;

    private bool HasId => ListRoot is not null;

    public async Task GetAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(GetAction, ct);
        var document = HasId
            ? (await s3.Index.ListSettingsAsync(bucket.Id, Kind, "", BucketSettings.WithIdMax, ct)).FirstOrDefault(s => s.Id == Id(s3))?.Document
            : bucket.Find(Kind);
        if (document is null && Missing is not null) throw new S3Exception(Missing).With("BucketName", bucket.Name);
        await s3.WriteXmlAsync(StatusCodes.Status200OK, xml =>
        {
            var root = Encoding.UTF8.GetBytes(Shape.Name);
            xml.StartDocument(root);
            if (document is not null) xml.Fragment(Encoding.UTF8.GetBytes(document));
            xml.End(root);
        }, ct);
    }

    public async Task PutAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(PutAction, ct);
        var document = S3Element.Parse(await s3.ReadDocumentAsync(BytesMax, ct), Shape.Name);
        Shape.Check(document);
        if (HasId && document.TextOf("Id") != Id(s3)) throw new S3Exception(S3Error.InvalidArgument, "The ID of the configuration in the request body doesn't match the one in the query.");
        Check?.Invoke(bucket, document);
        await s3.BucketGrain.SetAsync(bucket.Id, new(Kind, HasId ? Id(s3) : "", Canonical(document)), ct);
        s3.Response.StatusCode = PutStatus;
    }

    public async Task DeleteAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(PutAction, ct);
        if (HasId && !(await s3.Index.ListSettingsAsync(bucket.Id, Kind, "", BucketSettings.WithIdMax, ct)).Any(s => s.Id == Id(s3)))
            throw new S3Exception(Missing ?? S3Error.NoSuchConfiguration);
        await s3.BucketGrain.SetAsync(bucket.Id, new(Kind, HasId ? Id(s3) : "", null), ct);
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    public async Task ListAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(GetAction, ct);
        var token = s3.Query.Find("continuation-token");
        var found = await s3.Index.ListSettingsAsync(bucket.Id, Kind, ContinuationToken.Decode(token), PageMax + 1, ct);
        await s3.WriteXmlAsync(StatusCodes.Status200OK, xml =>
        {
            var (root, element) = (Encoding.UTF8.GetBytes(ListRoot!), Encoding.UTF8.GetBytes(Shape.Name));
            xml.StartDocument(root);
            if (token is not null) xml.Element("ContinuationToken"u8, token);
            foreach (var setting in found.Take(PageMax))
            {
                xml.Start(element);
                xml.Fragment(Encoding.UTF8.GetBytes(setting.Document));
                xml.End(element);
            }
            xml.Element("IsTruncated"u8, found.Count > PageMax);
            if (found.Count > PageMax) xml.Element("NextContinuationToken"u8, ContinuationToken.Encode(found[PageMax - 1].Id));
            xml.End(root);
        }, ct);
    }

    private static string Id(S3Request s3) => s3.Query.Find("id") is { Length: > 0 and <= 64 } id ? id : throw S3Exception.InvalidArgument("The configuration ID is invalid.", "id", "");

    /// <summary>What is in the root, written our way: no comments, no foreign namespaces, nothing that was not asked about.</summary>
    private static string Canonical(S3Element document)
    {
        using var buffer = new PooledBuffer(4096);
        var xml = new S3XmlWriter(buffer);
        foreach (var child in document.Children) Write(xml, child);
        xml.Complete();
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void Write(S3XmlWriter xml, S3Element element)
    {
        var name = Encoding.UTF8.GetBytes(element.Name);
        if (element.Children.Count == 0)
        {
            xml.Element(name, element.Text.Trim());
            return;
        }
        xml.Start(name);
        foreach (var child in element.Children) Write(xml, child);
        xml.End(name);
    }
}
