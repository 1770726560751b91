using DarkStorage.Connectors.Events;
using DarkStorage.GrainInterfaces.Events;
using Xunit;

namespace DarkStorage.Unit.Events;

/// <summary>Where events may be sent to.</summary>
public sealed class WebhookSenderTests
{
    [Theory]
    [InlineData("http://169.254.169.254/")]
    [InlineData("http://2852039166/")]
    [InlineData("http://[fe80::1]/")]
    [InlineData("http://[fd00:ec2::254]/")]
    [InlineData("http://[::ffff:169.254.169.254]/")]
    [InlineData("http://[::169.254.169.254]/")]
    [InlineData("http://[64:ff9b::169.254.169.254]/")]
    [InlineData("http://[2002:a9fe:a9fe::1]/")]
    [InlineData("http://224.0.0.1/")]
    public async Task Link_local_addresses_are_not_connected_to_however_they_are_written(string url)
    {
        using var sender = new WebhookSender(TimeProvider.System);
        Assert.Equal(new EventAnswer(EventOutcome.Unavailable, "its address is link-local, which is not allowed"), await sender.SendAsync(new(url), null, 1, "{}"u8.ToArray(), default));
    }
}
