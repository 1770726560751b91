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
TierCommands.AddTo(root);
LifecycleCommands.AddTo(root);

// "@FILE" is a secret in a file here, and a value may begin with a dash.
var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
using var cancelled = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true;
    cancelled.Cancel();
};
if (parsed.Errors.Count > 0)
{
    await Console.Error.WriteLineAsync($"darkstorage: {parsed.Errors[^1].Message}");
    return ExitCodes.Usage;
}
try
{
    return await parsed.InvokeAsync(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, cancelled.Token);
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
catch (OperationCanceledException e)
{
    if (cancelled.IsCancellationRequested) return ExitCodes.Cancelled;
    await Console.Error.WriteLineAsync($"darkstorage: there was no answer: {e.Message}");
    return ExitCodes.Failed;
}
