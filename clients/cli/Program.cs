using System.CommandLine;
using System.Net.Sockets;
using Amazon.Runtime;
using Amazon.S3;
using DarkStorage.Cli;

var root = new RootCommand($"""
    Talks to Orleans.DarkStorage. Where, and as whom, is in the environment:
      {Cluster.ManagementUrlVariable}          the management API  [{Cluster.ManagementUrlDefault}]
      {Cluster.S3UrlVariable}       the S3 API          [{Cluster.S3UrlDefault}]
      {Cluster.AccessKeyVariable}   the access key's id
      {Cluster.SecretKeyVariable}   its secret
    Objects are darkstorage://BUCKET/KEY.
    """);
ObjectCommands.AddTo(root);
IntegrationCommands.AddTo(root);

var parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    await Console.Error.WriteLineAsync($"darkstorage: {parsed.Errors[^1].Message}");
    return ExitCodes.Usage;
}
try
{
    return await parsed.InvokeAsync(new() { EnableDefaultExceptionHandler = false });
}
catch (UsageException e)
{
    await Console.Error.WriteLineAsync($"darkstorage: {e.Message}");
    return ExitCodes.Usage;
}
catch (AmazonS3Exception e)
{
    await Console.Error.WriteLineAsync($"darkstorage: {e.ErrorCode}: {e.Message}");
    return ExitCodes.Failed;
}
catch (Exception e) when (e is CommandFailedException or HttpRequestException or AmazonClientException or IOException or UnauthorizedAccessException or SocketException)
{
    await Console.Error.WriteLineAsync($"darkstorage: {e.Message}");
    return ExitCodes.Failed;
}
catch (OperationCanceledException)
{
    return ExitCodes.Cancelled;
}
