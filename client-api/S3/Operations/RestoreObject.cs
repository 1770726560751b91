namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>Brings an archived object back for a time. Archive classes are names here as yet: their bytes lie where all others do, so there is nothing to bring back,
/// and the answer says that a copy is there already.</summary>
internal static class RestoreObject
{
    private static readonly string[] Archives = ["GLACIER", "DEEP_ARCHIVE"];
    private static readonly string[] Tiers = ["Standard", "Bulk", "Expedited"];

    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (_, version) = await s3.AuthorizeObjectAsync(S3Action.RestoreObject, ct);
        var document = S3Element.Parse(await s3.ReadDocumentAsync(bytesMax: 64 << 10, ct), "RestoreRequest")
            .Allow("Days", "GlacierJobParameters", "Type", "Tier", "Description", "SelectParameters", "OutputLocation");
        if (document.Find("SelectParameters") is not null || document.Find("OutputLocation") is not null || document.Find("Type") is not null)
            throw new S3Exception(S3Error.NotImplemented).With("Header", "SelectParameters");
        if (document.Int32Of("Days") is not > 0) throw S3Element.Malformed();
        var tier = document.TextOf("Tier") ?? document.Find("GlacierJobParameters")?.Allow("Tier").RequireText("Tier") ?? "Standard";
        if (!Tiers.Contains(tier)) throw S3Element.Malformed();
        if (!Archives.Contains(version.StorageClass)) throw new S3Exception(S3Error.InvalidObjectState, "Restore is not allowed for the object's current storage class").With("StorageClass", version.StorageClass);
    }
}
