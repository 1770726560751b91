using System.Net.Http;
using Amazon.Runtime;

namespace DarkStorage.Connectors.Http;

/// <summary>What AWS's client sends over: to no forbidden address, and following nothing.</summary>
internal sealed class OutboundHttpClients : HttpClientFactory
{
    public override HttpClient CreateHttpClient(IClientConfig clientConfig) => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        ConnectCallback = OutboundConnections.ConnectAsync,
    })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    public override bool UseSDKHttpClientCaching(IClientConfig clientConfig) => false;

    public override bool DisposeHttpClientsAfterUse(IClientConfig clientConfig) => false;
}
