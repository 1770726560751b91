using System.Diagnostics;
using System.Text.Json.Nodes;

namespace DarkStorage.TestKit;

/// <summary>Debian's AWS CLI against a node, with the keys of its root or others.</summary>
public sealed class AwsCli(NodeProcess node, string? accessKey = null, string? secretKey = null, string? sessionToken = null)
{
    /// <summary>The tool needs a second to start; what takes this long hangs.</summary>
    private static readonly TimeSpan HangsAfter = TimeSpan.FromMinutes(2);

    /// <summary>Runs <c>aws s3api</c>.</summary>
    /// <returns>What it printed; an empty object where it printed nothing.</returns>
    /// <exception cref="AwsCliException">It ended with another code than 0.</exception>
    public async Task<JsonNode> S3ApiAsync(params string[] arguments)
    {
        var output = await RunAsync(["s3api", .. arguments]);
        return JsonNode.Parse(output.Length == 0 ? "{}" : output)!;
    }

    /// <summary>Runs <c>aws</c>.</summary>
    /// <returns>What it printed on standard output.</returns>
    /// <exception cref="AwsCliException">It ended with another code than 0.</exception>
    public async Task<string> RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("aws", ["--endpoint-url", node.S3Url.GetLeftPart(UriPartial.Authority), "--output", "json", .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["AWS_ACCESS_KEY_ID"] = accessKey ?? node.Settings.AccessKey;
        start.Environment["AWS_SECRET_ACCESS_KEY"] = secretKey ?? node.Settings.SecretKey;
        if (sessionToken is null) start.Environment.Remove("AWS_SESSION_TOKEN");
        else start.Environment["AWS_SESSION_TOKEN"] = sessionToken;
        start.Environment["AWS_DEFAULT_REGION"] = node.Settings.Region;
        start.Environment["AWS_MAX_ATTEMPTS"] = "1";
        start.Environment["AWS_EC2_METADATA_DISABLED"] = "true";
        start.Environment["AWS_CONFIG_FILE"] = "/dev/null";
        start.Environment["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null";
        using var hang = new CancellationTokenSource(HangsAfter);
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(hang.Token), process.StandardError.ReadToEndAsync(hang.Token));
        try
        {
            await process.WaitForExitAsync(hang.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"aws {string.Join(' ', arguments)} did not end within {HangsAfter}.");
        }
        return process.ExitCode == 0 ? await output : throw new AwsCliException($"aws {string.Join(' ', arguments)}: {await errors}");
    }
}

/// <summary>The tool refused or was refused; the message holds what it printed, with S3's code in it.</summary>
public sealed class AwsCliException(string message) : Exception(message);
