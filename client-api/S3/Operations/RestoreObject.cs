using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Tiers;
using Microsoft.AspNetCore.Http;
using Orleans.Serialization;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>Makes an archived object readable for some days. It is done by the nodes; <c>x-amz-restore</c> of the object says when it is.</summary>
internal static class RestoreObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(S3Action.RestoreObject, ct);
        var document = S3Element.Parse(await s3.ReadDocumentAsync(bytesMax: 64 << 10, ct), "RestoreRequest")
            .Allow("Days", "GlacierJobParameters", "Type", "Tier", "Description", "SelectParameters", "OutputLocation");
        if (document.Find("SelectParameters") is not null || document.Find("OutputLocation") is not null || document.Find("Type") is not null)
            throw new S3Exception(S3Error.NotImplemented).With("Header", "SelectParameters");
        if (document.Int32Of("Days") is not { } days || days < 1) throw S3Element.Malformed();
        var speed = SpeedOf(document.TextOf("Tier") ?? document.Find("GlacierJobParameters")?.Allow("Tier").RequireText("Tier") ?? "Standard");

        await RequireRestoresAsync(s3, ct);
        await s3.ObjectGrain.UpdateAsync(new(bucket.Id, version.Name, new(version.Revision), s3.OriginOf(ChangeMeans.Request), Restore: new(RestoreStep.Asked, days, speed)), ct);
        s3.WriteVersionId(bucket, version.Name);
        // One that can be read already is so for another time, and there is nothing to wait for.
        s3.Response.StatusCode = version.Restore.IsHeld(s3.Clock.GetUtcNow()) ? StatusCodes.Status200OK : StatusCodes.Status202Accepted;
    }

    private static async Task RequireRestoresAsync(S3Request s3, CancellationToken ct)
    {
        try
        {
            await s3.Grains.GetGrain<ITiersGrain>(ITiersGrain.Key).RequireRestoresAsync(ct);
        }
        catch (SerializerException e)
        {
            throw new StorageException(StorageError.Unavailable, "The silo that would have the grain runs a program that knows no restores.", e);
        }
    }

    private static WarmUpSpeed SpeedOf(string tier) => tier switch
    {
        "Standard" => WarmUpSpeed.Standard,
        "Expedited" => WarmUpSpeed.Expedited,
        "Bulk" => WarmUpSpeed.Bulk,
        _ => throw S3Element.Malformed(),
    };
}
