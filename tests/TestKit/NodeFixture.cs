using System.Globalization;
using Amazon.S3;
using Xunit;

namespace DarkStorage.TestKit;

/// <summary>One node that many tests share. Each test makes buckets of its own and looks at nothing else.</summary>
public class NodeFixture : IAsyncLifetime
{
    private NodeProcess? _node;

    public NodeProcess Node => _node ?? throw new InvalidOperationException("The node has not started.");

    /// <summary>The AWS SDK, with the root keys.</summary>
    public AmazonS3Client Client => field ??= Node.S3();

    /// <summary>Requests by hand, with the root keys.</summary>
    public RawS3 Raw => field ??= Node.Raw();

    protected virtual NodeSettings Settings => new();

    public async ValueTask InitializeAsync() => _node = await NodeProcess.StartAsync(Settings);

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (_node is null) return;
        var output = _node.Output;
        await _node.DisposeAsync();
        // What went wrong inside is worth seeing, whichever test it was.
        if (output.Contains(" ERR ", StringComparison.Ordinal) || output.Contains(" FTL ", StringComparison.Ordinal))
            TestContext.Current.SendDiagnosticMessage(string.Create(CultureInfo.InvariantCulture, $"The node logged errors:\n{output}"));
    }
}
