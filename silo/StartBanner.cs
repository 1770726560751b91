using System.Net;
using DarkStorage.ClientApi.Admin;
using DarkStorage.Silo.Configuration;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace DarkStorage.Silo;

/// <summary>What the program says when it is ready: where it listens, what it runs on, and new keys once.</summary>
internal static class StartBanner
{
    public static void Write(TextWriter output, NodeOptions node, NodeStatus status, WebApplication app, RootCredentials root, bool rootIsNew)
    {
        var addresses = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.ToList();
        output.WriteLine($"DarkStorage {status.Version}, node {node.Node}");
        output.WriteLine($"  S3          {addresses[0]}");
        output.WriteLine($"  management  {addresses[^1]}");
        output.WriteLine($"  engine      {status.Engine}");
        output.WriteLine($"  index       {status.Index}");
        output.WriteLine($"  data        {node.Data}");
        output.WriteLine($"  region      {node.Region}");
        if (rootIsNew)
        {
            output.WriteLine("Root credentials were made. They are shown this once, and kept in keys/root.credentials of the data folder:");
            output.WriteLine($"  access key  {root.AccessKey}");
            output.WriteLine($"  secret key  {root.SecretKey}");
        }
        foreach (var url in (Uri[])[node.S3Url, node.ManagementUrl])
        {
            if (!IsLoopback(url)) output.WriteLine($"WARNING: {url} is open to other machines without TLS: whoever can listen on the way reads everything.");
        }
        output.Flush();
    }

    private static bool IsLoopback(Uri url) => url.IsLoopback || (IPAddress.TryParse(url.Host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
}
