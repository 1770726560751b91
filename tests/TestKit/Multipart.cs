using Amazon.S3;
using Amazon.S3.Model;

namespace DarkStorage.TestKit;

/// <summary>Multipart uploads, step by step or in one go.</summary>
public static class Multipart
{
    /// <summary>S3's smallest part that is not the last.</summary>
    public const int PartBytesMin = 5 << 20;

    /// <returns>The part as its completion names it.</returns>
    public static async Task<PartETag> PutPartAsync(this IAmazonS3 s3, string bucket, string key, string upload, int number, byte[] content)
    {
        var answer = await s3.UploadPartAsync(new() { BucketName = bucket, Key = key, UploadId = upload, PartNumber = number, InputStream = new MemoryStream(content), PartSize = content.Length });
        return new(number, answer.ETag);
    }

    /// <summary>A whole upload.</summary>
    /// <param name="numbers">Of the parts; null for 1, 2, 3 …</param>
    public static async Task<CompleteMultipartUploadResponse> PutMultipartAsync(this IAmazonS3 s3, string bucket, string key, byte[][] parts, int[]? numbers = null)
    {
        var upload = (await s3.InitiateMultipartUploadAsync(bucket, key)).UploadId;
        var tags = new List<PartETag>();
        for (var i = 0; i < parts.Length; i++) tags.Add(await s3.PutPartAsync(bucket, key, upload, numbers?[i] ?? i + 1, parts[i]));
        return await s3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = key, UploadId = upload, PartETags = tags });
    }
}
