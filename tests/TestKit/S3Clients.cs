using System.Net.Sockets;
using System.Text;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;

namespace DarkStorage.TestKit;

/// <summary>Clients of a node, and what tests do with them all the time.</summary>
public static class S3Clients
{
    private static int _buckets;

    /// <summary>The AWS SDK for a node. It does not retry: a test wants to see the first answer.</summary>
    /// <param name="virtualHost">The bucket goes into the host's name, under the node's <see cref="NodeSettings.Domain"/>; the connection goes to the node whatever the name.</param>
    /// <param name="configure">Last changes of the settings.</param>
    public static AmazonS3Client S3(this NodeProcess node, bool virtualHost = false, string? accessKey = null, string? secretKey = null, Action<AmazonS3Config>? configure = null)
    {
        var config = new AmazonS3Config
        {
            ServiceURL = virtualHost ? $"http://{node.Settings.Domain}:{node.S3Url.Port}" : node.S3Url.GetLeftPart(UriPartial.Authority),
            ForcePathStyle = !virtualHost,
            AuthenticationRegion = node.Settings.Region,
            MaxErrorRetry = 0,
            Timeout = TimeSpan.FromMinutes(2),
        };
        if (virtualHost) config.HttpClientFactory = new ToNode(node.S3Url);
        configure?.Invoke(config);
        return new(new BasicAWSCredentials(accessKey ?? node.Settings.AccessKey, secretKey ?? node.Settings.SecretKey), config);
    }

    /// <summary>Requests by hand to a node, with its root keys.</summary>
    public static RawS3 Raw(this NodeProcess node) => new(node.S3Url, node.Settings.AccessKey, node.Settings.SecretKey, node.Settings.Region);

    /// <summary>A name that no other test of this run has.</summary>
    public static string NewBucketName(string prefix = "test") => $"{prefix}-{Interlocked.Increment(ref _buckets)}-{Guid.NewGuid().ToString("N")[..8]}";

    /// <summary>Makes a bucket.</summary>
    /// <returns>Its name.</returns>
    public static async Task<string> NewBucketAsync(this IAmazonS3 s3, string prefix = "test")
    {
        var name = NewBucketName(prefix);
        await s3.PutBucketAsync(name);
        return name;
    }

    public static Task<PutObjectResponse> PutTextAsync(this IAmazonS3 s3, string bucket, string key, string content) =>
        s3.PutObjectAsync(new() { BucketName = bucket, Key = key, ContentBody = content });

    public static async Task<string> GetTextAsync(this IAmazonS3 s3, string bucket, string key) => Encoding.UTF8.GetString(await s3.GetBytesAsync(bucket, key));

    public static Task<PutObjectResponse> PutBytesAsync(this IAmazonS3 s3, string bucket, string key, byte[] content) =>
        s3.PutObjectAsync(new() { BucketName = bucket, Key = key, InputStream = new MemoryStream(content) });

    public static async Task<byte[]> GetBytesAsync(this IAmazonS3 s3, string bucket, string key)
    {
        using var response = await s3.GetObjectAsync(bucket, key);
        return await response.ReadBytesAsync();
    }

    public static async Task<byte[]> ReadBytesAsync(this GetObjectResponse response)
    {
        using var memory = new MemoryStream();
        await response.ResponseStream.CopyToAsync(memory);
        return memory.ToArray();
    }

    /// <summary>Bytes that are the same for the same seed, so that a failure can be repeated.</summary>
    public static byte[] Content(int length, int seed = 1)
    {
        var content = new byte[length];
        new Random(seed).NextBytes(content);
        return content;
    }

    /// <summary>Byte for byte. Unlike an assertion's, its failure does not print megabytes.</summary>
    public static bool Same(this byte[] content, byte[] other) => content.AsSpan().SequenceEqual(other);

    /// <summary>Connects to the node whatever host the URL names.</summary>
    private sealed class ToNode(Uri node) : HttpClientFactory
    {
        public override HttpClient CreateHttpClient(IClientConfig clientConfig) => new(new SocketsHttpHandler
        {
            ConnectCallback = async (_, ct) =>
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                await socket.ConnectAsync(node.Host, node.Port, ct);
                return new NetworkStream(socket, ownsSocket: true);
            },
        });
    }
}
