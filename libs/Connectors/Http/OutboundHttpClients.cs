using System.Net.Http;
using Amazon.Runtime;

namespace DarkStorage.Connectors.Http;

/// <summary>What one client of AWS's SDK sends over: to no forbidden address, past no proxy, and following nothing.</summary>
internal sealed class OutboundHttpClients : HttpClientFactory, IDisposable
{
    private readonly HttpClient _http = OutboundConnections.NewClient();

    /// <summary>Asked for each request: always the one.</summary>
    public override HttpClient CreateHttpClient(IClientConfig clientConfig) => _http;

    public override bool UseSDKHttpClientCaching(IClientConfig clientConfig) => false;

    public override bool DisposeHttpClientsAfterUse(IClientConfig clientConfig) => false;

    public void Dispose() => _http.Dispose();
}
