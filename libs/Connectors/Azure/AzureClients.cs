using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Specialized;
using DarkStorage.Connectors.Http;

namespace DarkStorage.Connectors.Azure;

/// <summary>Who asks: makes the clients of Azure's SDK, which send over one HTTP client.</summary>
/// <remarks>A client for each blob, of its whole address: the SDK's way from a container to a blob takes the address apart, and guesses where in it the account is.</remarks>
internal sealed class AzureClients : IDisposable
{
    private readonly HttpClient _http = OutboundConnections.NewClient();
    private readonly BlobClientOptions _options;
    private readonly StorageSharedKeyCredential? _key;
    private readonly AzureSasCredential? _signature;

    private AzureClients(StorageSharedKeyCredential? key, AzureSasCredential? signature)
    {
        (_key, _signature) = (key, signature);
        _options = NewOptions();
    }

    /// <param name="key">One of the account's two keys, in Base64.</param>
    public static AzureClients WithKey(string account, string key) => new(new(account, key), null);

    /// <param name="signature">A shared access signature, without a question mark in front.</param>
    public static AzureClients WithSignature(string signature) => new(null, new(signature));

    public BlobContainerClient Container(Uri address) => _key is not null ? new(address, _key, _options) : new(address, _signature, _options);

    public BlockBlobClient Blob(Uri address) => Blob(address, _options);

    /// <summary>For one request that brings a whole content. The SDK has no other way to say its checksum with that.</summary>
    public BlockBlobClient Blob(Uri address, byte[] md5)
    {
        var options = NewOptions();
        options.AddPolicy(new ContentMd5(md5), HttpPipelinePosition.PerCall);
        return Blob(address, options);
    }

    /// <summary>The address of a blob of this account as the server is told it that copies from there: what the key shows of the request does not go for the source, unless it is of the same account, and a signature has to be said twice.</summary>
    public Uri SourceOf(Uri address) => _signature is null ? address : new($"{address.AbsoluteUri}?{_signature.Signature}");

    public void Dispose() => _http.Dispose();

    private BlockBlobClient Blob(Uri address, BlobClientOptions options) => _key is not null ? new(address, _key, options) : new(address, _signature, options);

    private BlobClientOptions NewOptions() => new()
    {
        Transport = new HttpClientTransport(_http),
        // Attempts and the time for them are the caller's to bound.
        Retry = { MaxRetries = 0, NetworkTimeout = Timeout.InfiniteTimeSpan },
        // Lines of a log would have addresses, and a shared access signature is in the address.
        Diagnostics = { IsLoggingEnabled = false, IsDistributedTracingEnabled = false, IsTelemetryEnabled = false },
    };

    /// <summary>Before the request is signed: the signature is of this header too.</summary>
    private sealed class ContentMd5(byte[] md5) : HttpPipelineSynchronousPolicy
    {
        public override void OnSendingRequest(HttpMessage message) => message.Request.Headers.SetValue("Content-MD5", Convert.ToBase64String(md5));
    }
}
