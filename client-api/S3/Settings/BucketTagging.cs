using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Buckets;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketTagging, PutBucketTagging, DeleteBucketTagging.</summary>
internal static class BucketTagging
{
    public static readonly BucketSetting<TagSet> Setting = new()
    {
        Kind = BucketSettings.Tagging,
        Root = "Tagging",
        Missing = S3Error.NoSuchTagSet,
        GetAction = S3Action.GetBucketTagging,
        PutAction = S3Action.PutBucketTagging,
        PutStatus = StatusCodes.Status204NoContent,
        BytesMax = Tags.BytesMax,
        Read = document => new(Tags.Read(document, Tags.OfBucketMax)),
        Write = (xml, setting) => Tags.Write(xml, setting.Tags),
    };
}
